"""One request body as its events: a top-level JSON array or NDJSON is many, anything else is one.

Pure. An event is the very bytes of its element, never encoded again, so numbers beyond 64 bits, spacing and order of
keys survive. A line of NDJSON is not parsed here: a broken one becomes a dead letter at mapping, alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import NoReturn

from app.model.errors import BadRequest
from app.model.event import NDJSON_TYPES

_JSON = re.compile(r"application/([a-z0-9.\-]+\+)?json\Z")
_SPACE = b" \t\r\n"
_skip_space = re.compile(r"[ \t\r\n]*").match


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# The decoder tells where a value ends, which is all that is wanted of it. Integers are read as floats because int()
# refuses texts of more than 4300 digits.
_value_at = json.JSONDecoder(parse_int=float, parse_constant=_no_constant).raw_decode


class BodyKind(Enum):
    """What a Content-Type says of a body."""

    UNSAID = 0
    JSON = 1
    NDJSON = 2
    OTHER = 3


@lru_cache(1024)
def body_kind(content_type: bytes | None) -> BodyKind:
    """Read from the media type; its parameters (charset) do not matter here."""
    if content_type is None:
        return BodyKind.UNSAID
    media_type = content_type.partition(b";")[0].strip().decode("latin-1").lower()
    if media_type in NDJSON_TYPES:
        return BodyKind.NDJSON
    return BodyKind.JSON if _JSON.match(media_type) else BodyKind.OTHER


def split_body(body: bytes, kind: BodyKind) -> list[bytes] | None:
    """The events of a body that holds many; None when the body itself is the one event.

    A Content-Type that is JSON makes a body that begins with "[" an array, and a broken one an error (BadRequest);
    without a Content-Type it is an array only if it parses, else one event, since nobody said that it is JSON.
    """
    if kind is BodyKind.NDJSON:
        return split_lines(body)
    if kind is BodyKind.OTHER or body.lstrip(_SPACE)[:1] != b"[":
        return None
    try:
        return split_array(body)
    except ValueError as error:
        if kind is BodyKind.UNSAID:
            return None
        raise BadRequest(
            f"The body is a JSON array that does not parse, so none of its events was taken: {error}. "
            "Send a valid array, or another Content-Type if it is not JSON"
        ) from error


def split_request(body: bytes, headers: Mapping[str, bytes]) -> list[bytes] | None:
    """The same by the request's headers; a compressed body is one event as it is."""
    if "Content-Encoding" in headers:
        return None
    return split_body(body, body_kind(headers.get("Content-Type")))


def split_lines(body: bytes) -> list[bytes]:
    """The lines that are not blank, without their line ends (LF or CR LF)."""
    return [line.removesuffix(b"\r") for line in body.split(b"\n") if line.strip(_SPACE)]


def split_array(body: bytes) -> list[bytes]:
    """The elements of a JSON array, byte for byte. Raises ValueError that says what is wrong and where."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error
    bounds = _element_bounds(text)
    if len(text) == len(body):  # ASCII: places in the text are places in the body
        return [body[start:end] for start, end in bounds]
    return [text[start:end].encode() for start, end in bounds]


def _element_bounds(text: str) -> list[tuple[int, int]]:
    bounds: list[tuple[int, int]] = []
    place = _after_space(text, 0)
    if text[place : place + 1] != "[":
        raise ValueError(f'expected "[" at character {place}')
    place = _after_space(text, place + 1)
    if text[place : place + 1] == "]":
        _expect_end(text, place + 1)
        return bounds
    while True:
        try:
            _, end = _value_at(text, place)
        except RecursionError as error:
            raise ValueError(f"the value at character {place} is nested too deep") from error
        bounds.append((place, end))
        place = _after_space(text, end)
        mark = text[place : place + 1]
        if mark == ",":
            place = _after_space(text, place + 1)
        elif mark == "]":
            _expect_end(text, place + 1)
            return bounds
        else:
            raise ValueError(f'expected "," or "]" at character {place}')


def _after_space(text: str, place: int) -> int:
    """The place of the next character that is no white space."""
    if text[place : place + 1] not in (" ", "\t", "\r", "\n"):
        return place
    match = _skip_space(text, place)
    return place if match is None else match.end()


def _expect_end(text: str, place: int) -> None:
    place = _after_space(text, place)
    if place != len(text):
        raise ValueError(f"there is more after the array, at character {place}")
