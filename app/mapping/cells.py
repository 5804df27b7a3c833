"""Cells of template columns: the texts that values print as, and what evaluating a template gives.

A cell is compact JSON as the engine prints it. Source: Buffer API, result to cell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from app.mapping.events import Events
from app.mapping.faults import Refused, Watch

_EXACT = 1 << 53
_CONTROL = re.compile("[\x7f-\x9f]")


@dataclass(slots=True)
class Cells:
    """One column for some events: a text for each of the first `len(texts)` events given ("" where refused).

    Fewer texts than events: the watch's time was used up before the rest.
    """

    texts: list[str]
    refused: dict[int, Refused] = field(default_factory=dict)


class Template(Protocol):
    """A template made ready. Engines and direct plans are the same thing to a column."""

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        """The cells of these events (ascending indexes).

        Raises TooMuch when several events have more than `max_chars` characters together, and MemoryError.
        """


def plain_text(value: Any) -> str | None:
    """The value as the engine prints it, where that is plain; None where the engine must print it: objects, arrays,
    numbers with an exponent or without an end, integers that a double does not hold, half characters.

    >>> plain_text("a\\n"), plain_text(1.0), plain_text(1e22), plain_text(None)
    ('"a\\\\n"', '1', None, 'null')
    """
    kind = type(value)
    if kind is str:
        try:
            return escape_controls(orjson.dumps(value).decode())
        except orjson.JSONEncodeError:
            return None
    if kind is float:
        digits = repr(value)
        return digits.removesuffix(".0") if "e" not in digits and math.isfinite(value) else None
    if kind is int:
        return str(value) if -_EXACT < value < _EXACT else None
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    return None


def plain_texts(values: list[Any]) -> list[str] | None:
    """The texts of all of them, if all are plain.

    >>> plain_texts(["a", 1, None]), plain_texts(["a", []])
    (['"a"', '1', 'null'], None)
    """
    kinds = set(map(type, values))
    if kinds == {str}:
        joined = "".join(values)
        if joined.isprintable() and '"' not in joined and "\\" not in joined:
            return [f'"{value}"' for value in values]
    elif kinds == {int} and min(values) > -_EXACT and max(values) < _EXACT:
        return list(map(str, values))
    texts = list(map(plain_text, values))
    return None if None in texts else texts  # type: ignore[return-value]  # there is no None in it


_NOT_FINITE = re.compile(r"inf|nan|NaN")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def has_no_end(text: str) -> bool:
    """Whether a number in a text that an engine printed as JSON is infinite, or none.

    >>> has_no_end('{"a":[1,inf]}'), has_no_end("-inf"), has_no_end('{"info":"nan"}')
    (True, True, False)
    """
    return _NOT_FINITE.search(text) is not None and _NOT_FINITE.search(_STRING.sub("", text)) is not None


def escape_controls(text: str) -> str:
    """JSON text with U+007F to U+009F escaped, which engines and orjson leave raw. Source: Buffer API, string escaping.

    >>> escape_controls('"a\\x7f"')
    '"a\\\\u007f"'
    """
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
