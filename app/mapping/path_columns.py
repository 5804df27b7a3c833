"""Columns of the type `path`: the value at a place of the body, as JSON that keeps the text of its numbers.

Values come from the parse that all columns share. It has doubles for what is no integer of 64 bits, and knows no `-0`,
so where a number's text may be lost the body is parsed once more, with its numbers as they stand. Source: Buffer API,
new column types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from app.mapping.cells import Cells, escape_controls, plain_texts
from app.mapping.events import Events, Unreadable
from app.mapping.faults import Refused, TooMuch, Watch
from app.mapping.paths import MISSING, look_up, path_parts
from app.model.event import Reason

_EXACT = frozenset((str, int, bool, type(None)))
"""Kinds of values whose JSON says all that the body said of them; apart from 0, which may have been -0."""


class PathColumn:
    """A path made ready: a template to its column. `default` is for bodies without the value; None: those fail."""

    def __init__(self, path: str, default: str | None, raw_string: bool) -> None:
        self._path, self._parts = path, path_parts(path)
        self._raw_string = raw_string
        self._default = default if default is None or raw_string else _json(default)

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        """The cells of these events. Raises TooMuch when several have more than `max_chars` characters together."""
        values = self._look_up(events.parsed(indexes))
        quick = self._quick(values)
        cells = Cells(quick) if quick is not None else self._one_by_one(events, indexes, values, watch)
        if sum(map(len, cells.texts)) > max_chars and len(cells.texts) > 1:
            raise TooMuch
        return cells

    def _look_up(self, bodies: list[Any]) -> list[Any]:
        """For each body the value at the path, MISSING, or the Unreadable that it is."""
        values = bodies
        try:
            for part in self._parts:
                if type(part) is not str:
                    raise TypeError  # an index would find letters in a text too
                values = [value[part] for value in values]  # of all that JSON has, only an object takes a string
        except (KeyError, TypeError):
            return [body if type(body) is Unreadable else look_up(body, self._parts) for body in bodies]
        return values

    def _quick(self, values: list[Any]) -> list[str] | None:
        """The cells, where all are strings or all are integers as they usually are."""
        kinds = set(map(type, values))
        if kinds == {str}:
            return values if self._raw_string else plain_texts(values)
        return list(map(str, values)) if kinds == {int} and 0 not in values else None

    def _one_by_one(self, events: Events, indexes: Sequence[int], values: list[Any], watch: Watch) -> Cells:
        cells = Cells([])
        for index, value in zip(indexes, values, strict=True):
            watch.at(index)
            if watch.expired():
                break
            try:
                text = self._cell(events, index, value)
            except Refused as error:
                cells.refused[index] = Refused(error.reason, error.message)  # without the stack that it holds
                text = ""
            cells.texts.append(text)
        return cells

    def _cell(self, events: Events, index: int, value: Any) -> str:
        kind = type(value)
        if kind is str and self._raw_string:
            return value  # type: ignore[no-any-return]  # a str
        if kind is Unreadable:
            raise Refused(Reason.BODY_INVALID, str(value))
        if value is MISSING:
            if self._default is None:
                raise Refused(Reason.TEMPLATE_ERROR, f'path "{self._path}" not found in the body')
            return self._default
        if kind not in _EXACT or (kind is int and value == 0 and b"-0" in events.batch.bodies[index]):
            value = look_up(events.exact_value(index), self._parts)
        return _json(value)


def _json(value: Any) -> str:
    """Compact JSON as in a template's cell, but for the order of keys and the text of numbers, which stay."""
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested deeper than orjson writes, though not than it reads
        text = _nested_json(value)
    return escape_controls(text.decode())


def _nested_json(value: Any) -> bytes:
    pieces: list[bytes] = []
    left = [value]
    while left:
        item = left.pop()
        if type(item) is bytes:
            pieces.append(item)
        elif type(item) is dict or type(item) is list:
            parts: list[Any] = [b"{" if type(item) is dict else b"["]
            for key in item:
                parts += [b","] if len(parts) > 1 else []
                parts += [orjson.dumps(key) + b":", item[key]] if type(item) is dict else [key]
            left += [b"}" if type(item) is dict else b"]", *reversed(parts)]
        else:
            pieces.append(orjson.dumps(item))
    return b"".join(pieces)
