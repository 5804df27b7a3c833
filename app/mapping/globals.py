"""What the globals of a template (`Body`, `Header`, `Now`, ...) give for one event. Source: Buffer API, signatures.

Engines and direct plans both ask here, so that a template means one thing. Values are what Jsonnet may see: None, bool,
str, int, float, list, dict.
"""

from __future__ import annotations

import re
from typing import Any

from app.mapping.body import BodyInvalid
from app.mapping.events import Events
from app.mapping.faults import Refused
from app.mapping.headers import HeaderSet, canonical_name
from app.mapping.now import FormatInvalid, format_time
from app.mapping.paths import MISSING, look_up, path_parts
from app.model.event import Reason

NO_DEFAULT = "<<~~errOnUndefined~~>>"
"""The default that means "none": an event without the value fails. Passing it by hand does the same."""

_LONG_NUMBER = re.compile(rb"\d{19}")
INT64 = 1 << 63
"""Integers from -INT64 to before INT64 are what an engine's binding takes."""


def body(events: Events, index: int, path: Any, default: Any) -> Any:
    """`Body(path, default)`. A null that is there is null; a missing key or another kind of value is the default.

    >>> from app.mapping.examples import EVENTS
    >>> body(EVENTS, 0, "user.id", NO_DEFAULT), body(EVENTS, 1, "user.id", "none")
    (7, 'none')
    """
    if type(path) is not str:
        raise _wrong_type("Body", "path", path)
    try:
        value = events.value(index)
    except BodyInvalid as error:
        raise Refused(Reason.BODY_INVALID, str(error)) from error
    if path:
        parts = path_parts(path)
        value = look_up(value, parts) if parts else MISSING
        if value is MISSING:
            if default == NO_DEFAULT:
                raise Refused(Reason.TEMPLATE_ERROR, f'path "{path}" not found in the body')
            return default
    if type(value) is int:
        return value if -INT64 <= value < INT64 else float(value)
    if type(value) in (dict, list) and _LONG_NUMBER.search(events.batch.bodies[index]):
        return _doubles(value)
    return value


def _doubles(value: Any) -> Any:
    """The same with a double for each integer that the engine's binding cannot take."""
    if type(value) is dict:
        return {key: _doubles(item) for key, item in value.items()}
    if type(value) is list:
        return [_doubles(item) for item in value]
    return float(value) if type(value) is int and not -INT64 <= value < INT64 else value


def header(events: Events, index: int, name: Any, default: Any) -> Any:
    """`Header(name, default)`: the first value, or all of them as an object for "".

    >>> from app.mapping.examples import EVENTS
    >>> header(EVENTS, 0, "X-SHOP", NO_DEFAULT), header(EVENTS, 1, "", NO_DEFAULT)
    ('1', {})
    """
    return header_of(events.headers(index), name, default)


def header_of(headers: HeaderSet, name: Any, default: Any) -> Any:
    """`Header(name, default)` for every event with these headers.

    >>> header_of(HeaderSet([("x-shop", b"1")]), "", NO_DEFAULT)
    {'X-Shop': '1'}
    """
    if type(name) is not str:
        raise _wrong_type("Header", "header", name)
    values = headers.values
    if not name:
        return values
    canonical = canonical_name(name)
    value = values.get(canonical)
    if value is not None:
        return value
    if default == NO_DEFAULT:
        raise Refused(Reason.TEMPLATE_ERROR, f'header "{canonical}" not found')
    return default


def now(events: Events, index: int, format: Any) -> str:
    """`Now(format)`: the time when the event was received.

    >>> from app.mapping.examples import EVENTS
    >>> now(EVENTS, 0, "%F %T.%f")
    '2023-01-02 03:04:05.006'
    """
    return time_text(events.batch.times_ms[index], format)


def time_text(time_ms: int, format: Any) -> str:
    """`Now(format)` for every event received at this time.

    >>> time_text(1672628645006, "%Y")
    '2023'
    """
    if type(format) is not str:
        raise _wrong_type("Now", "format", format)
    try:
        return format_time(time_ms, format)
    except FormatInvalid as error:
        raise Refused(Reason.TEMPLATE_ERROR, str(error)) from error


def ip(events: Events, index: int) -> str:
    """`Ip()`.

    >>> from app.mapping.examples import EVENTS
    >>> ip(EVENTS, 0), ip(EVENTS, 1)
    ('10.0.0.1', '')
    """
    return events.batch.ips[index]


def headers(events: Events, index: int) -> str:
    """`HeaderStr()`.

    >>> from app.mapping.examples import EVENTS
    >>> headers(EVENTS, 0)
    'X-Shop: 1\\n'
    """
    return events.headers(index).text


def text(events: Events, index: int) -> str:
    """`BodyStr()`.

    >>> from app.mapping.examples import EVENTS
    >>> text(EVENTS, 1)
    '{}'
    """
    return events.text(index)


_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def _wrong_type(function: str, parameter: str, value: Any) -> Refused:
    kind = _KINDS.get(type(value), "function")
    return Refused(Reason.TEMPLATE_ERROR, f'{function}: "{parameter}" must be a string, got {kind}')
