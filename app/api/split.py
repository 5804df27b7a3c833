"""One request body as its events: a top-level JSON array or NDJSON is many, anything else is one.

Pure. An event is the very bytes of its element, never encoded again, so numbers beyond 64 bits, spacing and order of
keys survive. A line of NDJSON is not parsed here: a broken one becomes a dead letter at mapping, alone.

msgspec finds where elements and members end, ten times faster than the standard decoder, which reads what msgspec
does not take (half a surrogate pair), says what is wrong and where, and stops at the limit of very many elements.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Generator, Iterator
from contextlib import suppress
from io import BytesIO
from typing import NoReturn, TypeVar

import msgspec

from app.api.media import BodyKind
from app.model.errors import BadRequest, PayloadTooLarge

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that is done in parts, so that others have their turn at each `yield`; it ends with its result."""
ELEMENTS_A_STEP = 2000
_FEW_COMMAS = 4
"""Up to so many commas for each element that there may be, all are found at once: an element takes 60 bytes then."""
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_SPACE = b" \t\r\n"
_skip_space = re.compile(r"[ \t\r\n]*").match


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# The decoder tells where a value ends, which is all that is wanted of it. Integers are read as floats because int()
# refuses texts of more than 4300 digits.
_value_at = json.JSONDecoder(parse_int=float, parse_constant=_no_constant).raw_decode


def at_once(steps: Steps[T]) -> T:
    """The result of work, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def split_body(body: bytes, kind: BodyKind, most: int) -> Steps[list[bytes] | None]:
    """The events of a body that holds many; None when the body itself is the one event.

    A Content-Type that is JSON makes a body that begins with "[" an array, and a broken one an error (BadRequest);
    without a Content-Type it is an array only if it parses, else one event, since nobody said that it is JSON. A byte
    order mark before the events is none of them (RFC 8259, 8.1). Raises PayloadTooLarge for more than `most` events.
    """
    content = body.removeprefix(BOM_UTF8)
    if kind is BodyKind.NDJSON:
        return split_lines(content, most)
    if kind not in (BodyKind.JSON, BodyKind.UNSAID) or content.lstrip(_SPACE)[:1] != b"[":
        return None
    try:
        return (yield from split_array(content, most))
    except ValueError as error:
        if kind is BodyKind.UNSAID:
            return None
        raise BadRequest(
            f"The body is a JSON array that does not parse, so none of its events was taken: {error}. "
            "Send a valid array, or another Content-Type if it is not JSON"
        ) from error


def split_lines(body: bytes, most: int) -> list[bytes]:
    """The lines that are not blank, without their line ends (LF or CR LF). Raises PayloadTooLarge for more than `most`.

    Without a look at the number of line ends, lines that are refused in the end could take fifty times the memory of
    the body.
    """
    if body.count(b"\n") < most:
        return [line.removesuffix(b"\r") for line in body.split(b"\n") if line.strip(_SPACE)]
    lines: list[bytes] = []
    for line in BytesIO(body):
        if line.strip(_SPACE):
            lines.append(line.removesuffix(b"\n").removesuffix(b"\r"))
            if len(lines) > most:
                raise too_many_events(most)
    return lines


def split_array(body: bytes, most: int) -> Steps[list[bytes]]:
    """The elements of a JSON array, byte for byte. Raises ValueError that says what is wrong and where, and
    PayloadTooLarge for more than `most`.
    """
    text = _decoded(body)
    if body.count(b",") <= _FEW_COMMAS * most:
        with suppress(msgspec.DecodeError, RecursionError):
            elements = [bytes(element) for element in _elements(body)]
            if len(elements) > most:
                raise too_many_events(most)
            return elements
    is_ascii = len(text) == len(body)  # then places in the text are places in the body
    elements = []
    for start, end in _element_bounds(text):
        elements.append(body[start:end] if is_ascii else text[start:end].encode())
        if len(elements) % ELEMENTS_A_STEP == 0:
            if len(elements) > most:
                break
            yield
    if len(elements) > most:
        raise too_many_events(most)
    return elements


def members(body: bytes) -> dict[str, bytes]:
    """The members of a JSON object, each value the very bytes that it has; of equal names the last. Raises ValueError
    that says what is wrong and where.
    """
    text = _decoded(body)
    with suppress(msgspec.MsgspecError, RecursionError):
        return {name: bytes(value) for name, value in _members(body).items()}
    found: dict[str, bytes] = {}
    place = _expect(text, _after_space(text, 0), "{")
    if text[place : place + 1] == "}":
        _expect_end(text, place + 1)
        return found
    while True:
        if text[place : place + 1] != '"':
            raise ValueError(f"expected a name at character {place}")
        name, end = _value_at(text, place)
        start = _expect(text, _after_space(text, end), ":")
        end = _value_end(text, start)
        found[name] = text[start:end].encode()
        place = _after_space(text, end)
        if text[place : place + 1] == "}":
            _expect_end(text, place + 1)
            return found
        place = _expect(text, place, ",")


def too_many_events(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"Too many events, the maximum is {most} in one request.")


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from error


def _element_bounds(text: str) -> Iterator[tuple[int, int]]:
    place = _expect(text, _after_space(text, 0), "[")
    if text[place : place + 1] == "]":
        _expect_end(text, place + 1)
        return
    while True:
        end = _value_end(text, place)
        yield place, end
        place = _after_space(text, end)
        mark = text[place : place + 1]
        if mark == ",":
            place = _after_space(text, place + 1)
        elif mark == "]":
            _expect_end(text, place + 1)
            return
        else:
            raise ValueError(f'expected "," or "]" at character {place}')


def _value_end(text: str, place: int) -> int:
    try:
        return _value_at(text, place)[1]
    except RecursionError as error:
        raise ValueError(f"the value at character {place} is nested too deep") from error


def _after_space(text: str, place: int) -> int:
    """The place of the next character that is no white space."""
    if text[place : place + 1] not in (" ", "\t", "\r", "\n"):
        return place
    match = _skip_space(text, place)
    return place if match is None else match.end()


def _expect(text: str, place: int, mark: str) -> int:
    """The place of what follows the mark and its white space."""
    if text[place : place + 1] != mark:
        raise ValueError(f'expected "{mark}" at character {place}')
    return _after_space(text, place + 1)


def _expect_end(text: str, place: int) -> None:
    place = _after_space(text, place)
    if place != len(text):
        raise ValueError(f"there is more after its end, at character {place}")
