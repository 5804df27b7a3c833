"""Bodies to values: what `Body()` sees. Source: Buffer API, body parsing; design 3.2.

JSON where the Content-Type says so or is absent, form fields for a form, an error for anything else. Any JSON value may
be at the top. What is not UTF-8 becomes U+FFFD, and so does a lone surrogate escape; a BOM, a number past a double and
nesting deeper than 1,024 are errors.
"""

from __future__ import annotations

import json
import re
import sys
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from app.model.event import NDJSON_TYPES

_JSON_TYPE = re.compile(r"application/([a-z0-9.\-]+\+)?json")
_FORM_TYPE = "application/x-www-form-urlencoded"
_HIGH, _LOW, _ANY = rb"u[dD][89abAB][0-9a-fA-F]{2}", rb"u[dD][c-fC-F][0-9a-fA-F]{2}", rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"\\(?:" + _HIGH + rb"\\" + _LOW + rb"|" + _ANY + rb"|.)", re.DOTALL)
# The standard library's parser, because it hands over the text of every number: orjson has no such hook, and jiter's
# lossless mode loses the sign of -0 and reads 200 levels.
_EXACTLY = json.JSONDecoder(parse_int=orjson.Fragment, parse_float=orjson.Fragment)
_MAX_LEVELS = 1024
_BAD_PERCENT = re.compile("%(?![0-9a-fA-F]{2})")


class BodyInvalid(ValueError):
    """The body cannot be read as its Content-Type says; the message goes to the dead letter."""


class BodyKind(StrEnum):
    JSON = "json"
    FORM = "form"
    OTHER = "other"


def media_type(content_type: str) -> str:
    """The type without parameters, in lower case.

    >>> media_type("Application/JSON; charset=utf-8")
    'application/json'
    """
    return content_type.partition(";")[0].strip().lower()


def body_kind(content_type: str) -> BodyKind:
    """How to read a body with this Content-Type ("" where it is absent). A line of NDJSON is JSON.

    >>> body_kind("application/x-ndjson")
    <BodyKind.JSON: 'json'>
    """
    kind = media_type(content_type)
    if not kind or _JSON_TYPE.fullmatch(kind) or kind in NDJSON_TYPES:
        return BodyKind.JSON
    return BodyKind.FORM if kind == _FORM_TYPE else BodyKind.OTHER


def parse_body(body: bytes, kind: BodyKind, content_type: str) -> Any:
    """The body's value: what JSON has, or an object of form fields. `content_type` is for the message alone.

    Raises BodyInvalid.

    >>> parse_body(b'key1=bar1&key2[]=bar2&key2[]=bar3', BodyKind.FORM, "")
    {'key1': 'bar1', 'key2[]': ['bar2', 'bar3']}
    """
    if kind is BodyKind.JSON:
        return parse_json(body)
    if kind is BodyKind.FORM:
        return parse_form(body)
    raise BodyInvalid(f'Unsupported content type "{content_type}", supported types: application/json and {_FORM_TYPE}.')


def parse_json(body: bytes) -> Any:
    """Any JSON value. Raises BodyInvalid ("Invalid JSON: ...").

    >>> parse_json(b'{"a": [1, null]}')
    {'a': [1, None]}
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        mended = _mend(body)
        if mended == body:
            raise BodyInvalid(_message(body, error)) from error
    try:
        return orjson.loads(mended)
    except orjson.JSONDecodeError as error:
        raise BodyInvalid(_message(body, error)) from error


def parse_json_exactly(body: bytes) -> Any:
    """What `parse_json` gives for this body, which it can read, with each number as an `orjson.Fragment` of its text.

    >>> orjson.dumps(parse_json_exactly(b'[1.10, -0, 1E5, 123456789012345678901]'))
    b'[1.10,-0,1E5,123456789012345678901]'
    """
    text = body.decode("utf-8", "replace")
    if "\\u" in text:
        text = _mend(body).decode()
    text = text.lstrip(" \t\r\n")
    try:
        return _EXACTLY.raw_decode(text)[0]
    except RecursionError:
        # Python 3.11 counts levels of JSON as calls; a body that orjson has read has 1,024 of them at most.
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + 2 * _MAX_LEVELS)
        try:
            return _EXACTLY.raw_decode(text)[0]
        finally:
            sys.setrecursionlimit(limit)


def _message(body: bytes, error: orjson.JSONDecodeError) -> str:
    return f"Invalid JSON: {error}" if body.strip() else "Invalid JSON: the body is empty"


def _mend(body: bytes) -> bytes:
    """The body with U+FFFD for invalid UTF-8 and for escapes of half a surrogate pair."""
    text = body.decode("utf-8", "replace").encode()
    if b"\\u" not in text:
        return text
    return _ESCAPE.sub(lambda m: b"\\ufffd" if len(m[0]) == 6 and m[0][2:3] in b"dD" else m[0], text)


def parse_form(body: bytes) -> dict[str, str | list[str]]:
    """Form fields in order, all values strings; a repeated key makes a list. Raises BodyInvalid ("Invalid form data:
    ...").

    >>> parse_form(b"a=1+2&b=%C3%A9&c")
    {'a': '1 2', 'b': 'é', 'c': ''}
    """
    fields: dict[str, str | list[str]] = {}
    for part in body.decode("utf-8", "replace").split("&"):
        if not part:
            continue
        if ";" in part:
            raise BodyInvalid('Invalid form data: ";" does not separate fields, "&" does')
        if _BAD_PERCENT.search(part):
            raise BodyInvalid('Invalid form data: "%" must be followed by two hexadecimal digits')
        name, _, value = (_unescape(text) for text in part.partition("="))
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            fields[name] = [known, value]
    return fields


def _unescape(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")
