"""The events of one chunk while they are mapped: each body is parsed at most once, for all exports and columns.

Nothing here is copied from the EventBatch but the headers, which are kept once for each distinct set.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from app.mapping.body import BodyInvalid, BodyKind, parse_body, parse_json_exactly
from app.mapping.headers import HeaderSet
from app.model.event import EventBatch

EXACT_BYTES = 1 << 20
"""Bodies whose exact values are kept, together; a value takes up to 60 times the memory of its body."""
_UNREAD: Any = object()


class Unreadable(str):
    """In place of a value: why there is none. (An exception kept would keep its stack.)"""


class Events:
    """A batch with what is derived from it, by index (not offset).

    `header_sets` are the distinct ones, `header_at[i]` says which of them event `i` has.
    """

    def __init__(self, batch: EventBatch, header_sets: list[HeaderSet], header_at: list[int]) -> None:
        self.batch = batch
        self.header_sets = header_sets
        self.header_at = header_at
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
        return len(self.batch.bodies[index]) + self.headers(index).size


def pick(column: list[Any], indexes: Sequence[int]) -> list[Any]:
    """The items at these indexes, in their order.

    >>> pick(["a", "b", "c"], range(1, 3)), pick(["a", "b", "c"], [2, 0])
    (['b', 'c'], ['c', 'a'])
    """
    if isinstance(indexes, range):
        return column[indexes.start : indexes.stop]
    return [column[index] for index in indexes]
