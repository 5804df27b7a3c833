"""`Idempotency-Key`: the ids of a request's events follow from it, so that what is sent again has the same ids.

A key of the sender's choosing names a request: event i of it has an id of its own. One that begins with `kafka:` names
the places of the events in Kafka, each of which has its id whatever else is in the request, so a batch may be cut
otherwise when it is sent again. `docs/bodies.md` has the grammar. Nothing is remembered: the ids are computed. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from app.model.errors import BadRequest
from app.model.ids import keyed_event_id

HEADER = "Idempotency-Key"
MAX_KEY_BYTES = 1024
"""Of a key of the sender's choosing; the list of places is bounded with all headers."""
_PLACES = b"kafka:"
_SCOPE = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PLACE = re.compile(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,10})/([0-9,-]+)")
_RUN = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


@dataclass(frozen=True, slots=True, order=True)
class _Run:
    """Consecutive offsets of a partition, both ends included."""

    topic: str
    partition: int
    first: int
    last: int


def names_places(key: bytes) -> bool:
    """Whether the key is a list of places in Kafka."""
    return key.startswith(_PLACES)


def ids_of(key: bytes, receiver: str, events: int) -> Iterator[str]:
    """The ids of so many events, sent with this key to a receiver ("<project>/<receiver>").

    Raises BadRequest for a key that is empty or too long, for a list of places that is malformed, names one twice or
    does not name as many as there are events.
    """
    if names_places(key):
        scope, runs = _read(key.decode("latin-1"))
        named = sum(run.last - run.first + 1 for run in runs)
        if named != events:
            raise BadRequest(
                f"{HEADER} names the places of {named} events, and the request has {events}; each event needs one"
            )
        return _ids_of_places(receiver, scope, runs)
    if len(key) > 2 and key[:1] == key[-1:] == b'"':
        key = key[1:-1]
    if not key or len(key) > MAX_KEY_BYTES:
        raise BadRequest(f"{HEADER} has {len(key)} bytes; it must have 1 to {MAX_KEY_BYTES}")
    text = key.decode("latin-1")
    return (keyed_event_id("key", receiver, text, str(index)) for index in range(events))


def id_of_cloudevent(receiver: str, source: str, id: str) -> str:
    """The id of the event that a CloudEvent becomes."""
    return keyed_event_id("cloudevent", receiver, source, id)


def _ids_of_places(receiver: str, scope: str, runs: list[_Run]) -> Iterator[str]:
    for run in runs:
        for offset in range(run.first, run.last + 1):
            yield keyed_event_id("kafka", receiver, scope, run.topic, str(run.partition), str(offset))


def _read(text: str) -> tuple[str, list[_Run]]:
    """Scope ("" without one) and places of `kafka:[scope:]topic/partition/first[-last],...;...`."""
    places = text.removeprefix(_PLACES.decode())
    scope, colon, rest = places.partition(":")
    if colon:
        if not _SCOPE.fullmatch(scope):
            raise _malformed("its scope is 1 to 100 letters, digits, dots, dashes and underscores")
        places = rest
    runs = [run for place in places.split(";") for run in _runs(place)]
    ascending = sorted(runs)
    for run, following in pairwise(ascending):
        if (run.topic, run.partition) == (following.topic, following.partition) and following.first <= run.last:
            raise _malformed(
                f"{run.topic}/{run.partition}/{following.first} is named twice; each event has its own place"
            )
    return scope if colon else "", runs


def _runs(place: str) -> Iterator[_Run]:
    match = _PLACE.fullmatch(place)
    if match is None:
        raise _malformed("a place is topic/partition/offsets, such as orders/3/1000-1204,1206")
    topic, partition, offsets = match.groups()
    for text in offsets.split(","):
        run = _RUN.fullmatch(text)
        first, last = (int(run[1]), int(run[2] or run[1])) if run else (1, 0)
        if first > last:
            raise _malformed("offsets are numbers such as 1206, or runs such as 1000-1204 in ascending order")
        yield _Run(topic, int(partition), first, last)


def _malformed(why: str) -> BadRequest:
    return BadRequest(f"{HEADER} begins with kafka: and is no list of places in Kafka: {why}")
