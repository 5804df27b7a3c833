"""The events of one chunk while they are mapped: each body is parsed at most once, for all exports and columns.

Nothing here is copied from the EventBatch but the headers, which are kept once for each distinct set, and bodies that
have to be decoded, whose JSON takes their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson

from app.mapping.body import BodyInvalid, BodyKind, parse_body, parse_json_exactly
from app.mapping.decoding import Decoder
from app.mapping.faults import DECODING, Fault, Watch
from app.mapping.headers import HeaderSet
from app.model.event import EventBatch
from app.model.schema import NOT_FRAMED

EXACT_BYTES = 1 << 20
"""Bodies whose exact values are kept, together; a value takes up to 60 times the memory of its body."""
MAX_DECODED_KEPT_BYTES = 8 << 20
"""JSON of decoded bodies that is kept for the next column and export, together; more is decoded again."""
_UNREAD: Any = object()


class Unreadable(str):
    """In place of a value: why there is none. (An exception kept would keep its stack.)"""


class Events:
    """A batch with what is derived from it, by index (not offset).

    `header_sets` are the distinct ones, `header_at[i]` says which of them event `i` has.
    """

    def __init__(self, batch: EventBatch, header_sets: list[HeaderSet], header_at: list[int]) -> None:
        self._raw = batch.bodies
        self.batch = replace(batch, bodies=list(batch.bodies)) if batch.schema_ids else batch
        self.header_sets = header_sets
        self.header_at = header_at
        self._decoder = Decoder(batch.schemas)
        self._decoded: dict[int, Fault | None] = {}
        self._decoded_bytes = 0
        self._json_sets: dict[int, int] = {}
        self._values: list[Any] = [_UNREAD] * len(batch)
        self._parsed: Sequence[int] = ()
        self._exact: dict[int, Any] = {}
        self._exact_bytes = 0

    @classmethod
    def of(cls, batch: EventBatch) -> Events:
        """The events of a batch, its headers gathered into distinct sets."""
        known: dict[tuple[tuple[str, bytes], ...], int] = {}
        header_at = [known.setdefault(tuple(headers), len(known)) for headers in batch.headers]
        return cls(batch, [HeaderSet(headers) for headers in known], header_at)

    def __len__(self) -> int:
        return len(self._values)

    def headers(self, index: int) -> HeaderSet:
        return self.header_sets[self.header_at[index]]

    def decode(self, index: int, watch: Watch) -> Fault | None:
        """Put the JSON of a body that is in the wire format in its place, or say why that cannot be done. To be called
        before anything else is asked about the event's body.
        """
        schema_id = self.batch.schema_ids[index]
        if schema_id == NOT_FRAMED:
            return None
        if index not in self._decoded:
            watch.begin(DECODING)
            watch.at(index)
            text = self._decoder.decoded(self._raw[index], schema_id)
            watch.end()
            if isinstance(text, bytes):
                self._decoded[index] = None
                self._decoded_bytes += len(text)
                self.batch.bodies[index] = text
                self.header_at[index] = self._as_json(self.header_at[index])
            else:
                self._decoded[index] = text
        return self._decoded[index]

    def forget_decoded(self) -> None:
        """Let go of what was decoded, if it is much; it has to be decoded again before it is asked for."""
        if self._decoded_bytes <= MAX_DECODED_KEPT_BYTES:
            return
        for index in self._decoded:
            self.batch.bodies[index] = self._raw[index]
            self._values[index] = _UNREAD
        self._parsed = ()
        self._exact.clear()
        self._exact_bytes = self._decoded_bytes = 0
        self._decoded.clear()

    def _as_json(self, number: int) -> int:
        """The number of the same set of headers with a body that is JSON, whatever its Content-Type."""
        headers = self.header_sets[number]
        if headers.kind is BodyKind.JSON:
            return number
        if number not in self._json_sets:
            self._json_sets[number] = len(self.header_sets)
            self.header_sets.append(HeaderSet(headers.raw, BodyKind.JSON))
        return self._json_sets[number]

    def value(self, index: int) -> Any:
        """The parsed body. Raises BodyInvalid, the same each time."""
        value = self._values[index]
        if value is _UNREAD:
            headers = self.headers(index)
            try:
                value = parse_body(self.batch.bodies[index], headers.kind, headers.values.get("Content-Type", ""))
            except BodyInvalid as error:
                value = Unreadable(error)
            self._values[index] = value
        if type(value) is Unreadable:
            raise BodyInvalid(value)
        return value

    def parsed(self, indexes: Sequence[int]) -> list[Any]:
        """The parsed bodies of these events. In place of one that cannot be read stands an Unreadable, a string into
        which no path leads.
        """
        if indexes != self._parsed:
            if any(value is _UNREAD for value in pick(self._values, indexes)):
                self._parse(indexes)
            self._parsed = indexes
        return pick(self._values, indexes)

    def _parse(self, indexes: Sequence[int]) -> None:
        if isinstance(indexes, range) and all(headers.kind is BodyKind.JSON for headers in self.header_sets):
            with suppress(orjson.JSONDecodeError):
                self._values[indexes.start : indexes.stop] = map(orjson.loads, pick(self.batch.bodies, indexes))
                return
        for index in indexes:
            self.body_is_valid(index)

    def exact_value(self, index: int) -> Any:
        """The parsed body, with an `orjson.Fragment` of its text for each number of JSON. Raises BodyInvalid."""
        value = self.value(index)
        if self.headers(index).kind is not BodyKind.JSON:
            return value
        value = self._exact.get(index, _UNREAD)
        if value is _UNREAD:
            body = self.batch.bodies[index]
            value = parse_json_exactly(body)
            if self._exact_bytes + len(body) <= EXACT_BYTES:
                self._exact_bytes += len(body)
                self._exact[index] = value
        return value

    def body_is_valid(self, index: int) -> bool:
        try:
            self.value(index)
        except BodyInvalid:
            return False
        return True

    def text(self, index: int) -> str:
        """The raw body as text, U+FFFD for what is not UTF-8."""
        return self.batch.bodies[index].decode("utf-8", "replace")

    def raw_size(self, index: int) -> int:
        """Bytes of body and headers, as a failure's raw event weighs in an envelope."""
        return len(self._raw[index]) + self.headers(index).size


def pick(column: list[Any], indexes: Sequence[int]) -> list[Any]:
    """The items at these indexes, in their order.

    >>> pick(["a", "b", "c"], range(1, 3)), pick(["a", "b", "c"], [2, 0])
    (['b', 'c'], ['c', 'a'])
    """
    if isinstance(indexes, range):
        return column[indexes.start : indexes.stop]
    return [column[index] for index in indexes]
