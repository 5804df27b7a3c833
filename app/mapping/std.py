"""What the engines lack of Jsonnet's standard library, and guards where the C++ engine would take the process down.

The library is go-jsonnet's of version 0.22, as the reference has it; `tests/unit/mapping/test_std.py` compares. Only
what a template may use is defined, for an engine parses it in every evaluation.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any

# Names that no template can guess.
_KEY = secrets.token_hex(8)
_STD = f"std_{_KEY}"

_HASHES = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512, "sha3": hashlib.sha3_512}
Natives = dict[str, tuple[tuple[str, ...], Callable[..., Any]]]
NATIVES: Natives = {
    f"{_KEY}atan2": (("y", "x"), math.atan2),
    **{
        f"{_KEY}{name}": (("text",), lambda text, hashed=hashed: hashed(json.loads(text)[0].encode()).hexdigest())
        for name, hashed in _HASHES.items()
    },
    f"{_KEY}finite": (("text",), lambda text: not _overflows(text)),
}
"""Native functions that the definitions call."""


def _guarded_parse(name: str) -> str:
    return (
        f"{name}(str):: if {_STD}.isString(str) && !{_STD}.native('{_KEY}finite')(str)"
        f" then error 'failed to parse: number out of range' else {_STD}.{name}(str)"
    )


def _hash(name: str) -> str:
    # As JSON, for a native function's own argument would end at the first NUL.
    return (
        f"{name}(str):: if {_STD}.isString(str) then {_STD}.native('{_KEY}{name}')({_STD}.toString([str]))"
        f" else error 'std.{name} takes a string'"
    )


RJSONNET_STD: Mapping[str, str] = {
    "atan2": f"atan2(y, x):: if {_STD}.isNumber(y) && {_STD}.isNumber(x) then {_STD}.native('{_KEY}atan2')(y, x)"
    " else error 'std.atan2 takes two numbers'",
    "deg2rad": f"deg2rad(x):: x * {math.pi!r} / 180",
    "flattenDeepArray": f"local flatten_{_KEY}(value) = if {_STD}.isArray(value)"
    f" then [y for x in value for y in flatten_{_KEY}(x)] else [value],"
    f" flattenDeepArray(value):: flatten_{_KEY}(value)",
    "foldr": f"foldr(func, arr, init):: {_STD}.foldr(func, if {_STD}.isString(arr)"
    f" then {_STD}.stringChars(arr) else arr, init)",
    "hypot": f"hypot(a, b):: {_STD}.sqrt(a * a + b * b)",
    "isNull": "isNull(v):: v == null",
    "log10": f"log10(x):: {_STD}.log(x) / {_STD}.log(10)",
    "log2": f"log2(x):: {_STD}.log(x) / {_STD}.log(2)",
    "pi": f"pi:: {math.pi!r}",
    "rad2deg": f"rad2deg(x):: x * 180 / {math.pi!r}",
    "trim": f"trim(str):: {_STD}.stripChars(str, ' \\t\\n\\f\\r\\u0085\\u00a0')",
}
"""What rjsonnet 0.5.6 lacks, by name; its foldr takes no text."""

CPP_STD: Mapping[str, str] = {
    "base64": f"base64(input):: {_STD}.base64(if {_STD}.isString(input) then {_STD}.encodeUTF8(input) else input)",
    "base64Decode": f"base64Decode(str):: {_STD}.decodeUTF8({_STD}.base64DecodeBytes(str))",
    "char": f"char(n):: if {_STD}.isNumber(n) && n >= 55296 && n < 57344"
    f" then error 'invalid unicode codepoint: ' + n else {_STD}.char(n)",
    "parseJson": _guarded_parse("parseJson"),
    "parseYaml": _guarded_parse("parseYaml"),
    "round": f"round(x):: local whole = {_STD}.floor({_STD}.abs(x)), up = {_STD}.abs(x) - whole >= 0.5,"
    " away = if up then whole + 1 else whole; if x == 0 then x else if x < 0 then -away else away",
} | {name: _hash(name) for name in _HASHES}
"""What jsonnet 0.22 lacks; what it does byte by character; how it rounds halves below zero; and where it would end the
process: text that is no Unicode given to a native function, a number past a double.
"""

_NOT_A_FIELD = re.compile(r"\bstd\b(?!\s*\.\s*[A-Za-z])")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[0-9](?:[0-9]{300}|[0-9.]*[eE]\+?[0-9]{3})[0-9.eE+]*(?!\w)")


def supplied(source: str, definitions: Mapping[str, str]) -> str:
    """Text to put before a template, which gives its `std` those of the definitions that it may use; mostly "".

    >>> supplied("std.length('x')", RJSONNET_STD)
    ''
    >>> "trim(str)::" in supplied("std.trim('x')", RJSONNET_STD)
    True
    >>> "isNull(v)::" in supplied("local s = std; s['is' + 'Null'](1)", RJSONNET_STD)
    True
    """
    all_of_it = _NOT_A_FIELD.search(source) is not None
    wanted = [text for name, text in definitions.items() if all_of_it or name in source]
    return f"local {_STD} = std; local std = {_STD} + {{ {', '.join(wanted)} }};\n" if wanted else ""


def _overflows(text: str) -> bool:
    """Whether a number in the text, outside its strings, is past a double.

    >>> _overflows('[1e308, "1e400"]'), _overflows('[1e309]'), _overflows('9' * 400)
    (False, True, True)
    """
    if not _NUMBER.search(text):
        return False
    return any(_is_infinite(found[0]) for found in _NUMBER.finditer(_STRING.sub(" ", text)))


def _is_infinite(digits: str) -> bool:
    try:
        return math.isinf(float(digits))
    except ValueError:
        return False
