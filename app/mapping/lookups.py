"""What a plain call gives for many events at once, where that is quick: a column of values instead of one at a time.

A column is given only if the call succeeds for every event and needs nobody's judgement; otherwise (None) the events
are asked one by one, by `app.mapping.calls`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app.mapping import globals
from app.mapping.calls import Call, body_keys
from app.mapping.events import Events, pick
from app.mapping.faults import Refused
from app.mapping.headers import HeaderSet

Column = Callable[[Events, Sequence[int]], list[Any] | None]
"""Values of the events with these indexes, in their order; None when one of them must be looked at alone."""

_SCALARS = {str, int, float, bool, type(None)}


def column(call: Call) -> Column:
    """The quick way of a call.

    >>> from app.mapping.examples import EVENTS
    >>> column(Call("Ip", ()))(EVENTS, range(2)), column(Call("Body", ("user.id", None)))(EVENTS, range(2))
    (['10.0.0.1', ''], None)
    """
    match call.name:
        case "Ip":
            return lambda events, indexes: pick(events.batch.ips, indexes)
        case "BodyStr":
            return lambda events, indexes: [
                body.decode("utf-8", "replace") for body in pick(events.batch.bodies, indexes)
            ]
        case "HeaderStr":
            return lambda events, indexes: _by_headers(events, indexes, lambda headers: headers.text)
        case "Now":
            return _now(*call.arguments)
        case "Header":
            return _header(*call.arguments)
        case _:
            return _body(*call.arguments)


def constant(value: Any) -> Column:
    """A literal as a column.

    >>> from app.mapping.examples import EVENTS
    >>> constant("x")(EVENTS, range(2))
    ['x', 'x']
    """
    return lambda events, indexes: [value] * len(indexes)


def engine_column(call: Call, events: Events, indexes: Sequence[int]) -> list[Any] | None:
    """The call's values, if all are scalars that an engine takes as they are; None otherwise. A list of its own.

    >>> from app.mapping.examples import EVENTS
    >>> engine_column(Call("Body", ("user.id", None)), EVENTS, range(1))
    [7]
    >>> engine_column(Call("Body", ("tags", None)), EVENTS, range(1))
    """
    values = column(call)(events, indexes)
    if values is None:
        return None
    kinds = set(map(type, values))
    if not kinds <= _SCALARS:
        return None
    if int in kinds and not all(-globals.INT64 <= value < globals.INT64 for value in values if type(value) is int):
        return None
    return values


def _body(path: Any, default: Any) -> Column:
    keys = body_keys(path)

    def values_of(events: Events, indexes: Sequence[int]) -> list[Any] | None:
        if not keys:
            return None
        values = events.parsed(indexes)
        try:
            for key in keys:
                values = [value[key] for value in values]  # of all that JSON has, only an object takes a string
        except (KeyError, TypeError):
            return None
        return values

    return values_of


def _header(name: Any, default: Any) -> Column:
    def values_of(events: Events, indexes: Sequence[int]) -> list[Any] | None:
        try:
            return _by_headers(events, indexes, lambda headers: globals.header_of(headers, name, default))
        except Refused:
            return None

    return values_of


def _now(format: Any) -> Column:
    def values_of(events: Events, indexes: Sequence[int]) -> list[Any] | None:
        times = pick(events.batch.times_ms, indexes)
        try:
            texts = {time_ms: globals.time_text(time_ms, format) for time_ms in set(times)}
        except Refused:
            return None
        return [texts[time_ms] for time_ms in times]

    return values_of


def _by_headers(events: Events, indexes: Sequence[int], value_of: Callable[[HeaderSet], Any]) -> list[Any]:
    """One value for each distinct set of headers, spread over the events."""
    if len(events.header_sets) > len(indexes):
        return [value_of(events.headers(index)) for index in indexes]
    values = [value_of(headers) for headers in events.header_sets]
    return [values[at] for at in pick(events.header_at, indexes)]
