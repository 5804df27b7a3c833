"""The most naive way to evaluate a template: one event, one evaluation by rjsonnet, nothing shared with `app.mapping`
but the parsing of bodies and the formatting of times, which have tests of their own.

What the Buffer API says of `Body`, `Header` and the others is written down here a second time.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import rjsonnet
from template_grammar import Event

from app.mapping.body import BodyInvalid, body_kind, parse_body
from app.mapping.now import FormatInvalid, format_time

NONE = "<<~~errOnUndefined~~>>"
IP = "1.2.3.4"
TIME_MS = 1_672_628_645_006

_GLOBALS = f"""
local Ip() = std.native('Ip')();
local Now(format='%Y-%m-%dT%H:%M:%S.%fZ') = std.native('Now')(format);
local HeaderStr() = std.native('HeaderStr')();
local Header(header='', default='{NONE}') = std.native('Header')(header, default);
local BodyStr() = std.native('BodyStr')();
local Body(path='', default='{NONE}') = std.native('Body')(path, default);
local base = std, pi = 3.141592653589793;
local std = base + {{
  trim(str):: base.stripChars(str, ' \\t\\n\\f\\r\\u0085\\u00a0'),
  pi:: pi,
  isNull(v):: v == null,
  log2(x):: base.log(x) / base.log(2),
  log10(x):: base.log(x) / base.log(10),
  hypot(a, b):: base.sqrt(a * a + b * b),
  deg2rad(x):: x * pi / 180,
  rad2deg(x):: x * 180 / pi,
  atan2(y, x):: if base.isNumber(y) && base.isNumber(x) then base.native('atan2')(y, x) else error 'numbers',
  flattenDeepArray(v):: if base.isArray(v) then base.flatMap(function(x) self.flattenDeepArray(x), v) else [v],
}};
"""


class Failed(Exception):
    """A global's own error: (reason, message)."""


def evaluate(template: str, event: Event) -> str | tuple[str, str]:
    """The cell's text, or the reason and message of the failure."""
    failed: list[tuple[str, str]] = []

    def native(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            try:
                return function(event, *arguments)
            except Failed as error:
                failed.append((error.args[0], error.args[1]))
                raise

        return call

    functions = {
        "Ip": ((), native(lambda event: IP)),
        "Now": (("format",), native(_now)),
        "HeaderStr": ((), native(lambda event: "".join(sorted(f"{k}: {v}\n" for k, v in _headers(event).items())))),
        "Header": (("header", "default"), native(_header)),
        "BodyStr": ((), native(lambda event: event.body.decode("utf-8", "replace"))),
        "Body": (("path", "default"), native(_body)),
        "atan2": (("y", "x"), math.atan2),
    }
    try:
        printed = rjsonnet.evaluate_snippet(
            "slow", f"{_GLOBALS}std.manifestJsonMinified((\n{template}\n))", max_stack=500, native_callbacks=functions
        )
    except RuntimeError as error:
        return failed[0] if failed else ("template.error", _said(str(error)))
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return failed[0] if failed else ("template.error", "panic")
    text: str = json.loads(printed)
    return re.sub("[\x7f-\x9f]", lambda found: f"\\u00{ord(found[0]):02x}", text)


def _said(error: str) -> str:
    """What the template itself said, if anything: texts that begin with "own: ", as `template_grammar` writes them."""
    own = re.search("own: [a-z ]+", error)
    if error.startswith("stack overflow"):
        return "max stack frames exceeded: the template calls itself, or its value is nested, deeper than 500 frames"
    return own[0] if own else error


def _text(function: str, parameter: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    kinds = {bool: "boolean", float: "number", int: "number", list: "array", dict: "object", type(None): "null"}
    raise Failed("template.error", f'{function}: "{parameter}" must be a string, got {kinds[type(value)]}')


def _now(event: Event, format: Any) -> str:
    try:
        return format_time(TIME_MS, _text("Now", "format", format))
    except FormatInvalid as error:
        raise Failed("template.error", str(error)) from None


def _canonical(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        return name
    return "-".join(part.capitalize() for part in name.split("-"))


def _headers(event: Event) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in event.headers:
        key = re.sub("[\ud800-\udfff]", "\ufffd", _canonical(name))
        if key not in found:
            found[key] = value.decode("utf-8", "replace")
    return found


def _header(event: Event, name: Any, default: Any) -> Any:
    name = _text("Header", "header", name)
    if name == "":
        return _headers(event)
    if _canonical(name) in _headers(event):
        return _headers(event)[_canonical(name)]
    if default == NONE:
        raise Failed("template.error", f'header "{_canonical(name)}" not found')
    return default


def _body(event: Event, path: Any, default: Any) -> Any:
    path = _text("Body", "path", path)
    kind = _headers(event).get("Content-Type", "")
    try:
        value = parse_body(event.body, body_kind(kind), kind)
    except BodyInvalid as error:
        raise Failed("body.invalid", str(error)) from None
    if path == "":
        return _doubles(value)
    parts = [part for part in path.replace("[", ".").split(".") if part]
    try:
        if not parts:
            raise KeyError(path)
        for part in parts:
            index = re.fullmatch(r"([0-9]+)\]", part)
            if (index and not isinstance(value, list)) or (not index and not isinstance(value, dict)):
                raise KeyError(part)
            value = value[int(index[1])] if index else value[part]
    except (KeyError, IndexError):
        if default == NONE:
            raise Failed("template.error", f'path "{path}" not found in the body') from None
        return default
    return _doubles(value)


def _doubles(value: Any) -> Any:
    """All numbers are doubles in Jsonnet."""
    if isinstance(value, list):
        return [_doubles(item) for item in value]
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in value.items()}
    return float(value) if type(value) is int else value
