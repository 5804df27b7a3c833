"""What an answer that has a body tells: of each event its id and its place in Kafka, or why it was not taken. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from app.api.errors import sentence
from app.gateway.answers import NOT_ACKNOWLEDGED, Refusal, Told
from app.model.errors import StreamsError


def challenge_told(challenge: str) -> Told:
    """What a vendor that tests the URL is answered (`app.gateway.challenge`)."""
    return Told(200, orjson.dumps({"challenge": challenge}))


class Receipt:
    """Of the events of one request, in order, with those that are none (`faults`, by index) among them."""

    __slots__ = ("_ids", "_places", "_refusals", "accepted")

    def __init__(self, events: int, faults: Mapping[int, StreamsError]) -> None:
        self._ids = [""] * events
        self._places: list[tuple[int, int] | None] = [None] * events
        self._refusals = {index: Refusal(error.status, error.name, error.message) for index, error in faults.items()}
        self.accepted = 0

    def name(self, index: int, event_id: str) -> None:
        self._ids[index] = event_id

    def place(self, index: int, partition: int | None, offset: int | None) -> None:
        """Kafka has the event. A negative offset: it has, but does not say where (a repeat of the producer's own)."""
        self._places[index] = (-1 if partition is None else partition, -1 if offset is None else offset)
        self.accepted += 1

    def refuse(self, index: int, refusal: Refusal) -> None:
        self._refusals[index] = refusal

    @property
    def refusal(self) -> Refusal | None:
        """Why no event at all was taken; None when one was, or there is none."""
        if self.accepted or not self._ids:
            return None
        return self._refusals[min(self._refusals)] if self._refusals else NOT_ACKNOWLEDGED

    def of_all(self) -> Told:
        """Ids and places: all events were taken."""
        return Told(200, orjson.dumps({"events": [self._event(index) for index in range(len(self._ids))]}))

    def of_each(self) -> Told:
        """The end of each event. 207 when some were not taken."""
        events = [self._outcome(index) for index in range(len(self._ids))]
        refused = len(events) - self.accepted
        body = orjson.dumps({"accepted": self.accepted, "refused": refused, "events": events})
        return Told(207 if refused else 200, body, True, any(refusal.again for refusal in self._all_refusals()))

    def _all_refusals(self) -> list[Refusal]:
        if self.accepted + len(self._refusals) < len(self._ids):
            return [*self._refusals.values(), NOT_ACKNOWLEDGED]
        return list(self._refusals.values())

    def _event(self, index: int) -> dict[str, object]:
        place = self._places[index]
        partition, offset = (None, None) if place is None else (n if n >= 0 else None for n in place)
        return {"id": self._ids[index], "partition": partition, "offset": offset}

    def _outcome(self, index: int) -> dict[str, object]:
        if self._places[index] is not None:
            return {"status": 200, **self._event(index)}
        refusal = self._refusals.get(index, NOT_ACKNOWLEDGED)
        told = {"status": refusal.status, "error": refusal.name, "message": sentence(refusal.message)}
        return told if not self._ids[index] else {**told, "id": self._ids[index]}
