"""Paths into a parsed body: "a.b[0].c". Source: Buffer API, body paths.

A path is split on "." and "["; empty parts are dropped; a part like "12]" is an index, anything else an object's key.
There is no quoting, so keys that contain "." or "[" cannot be reached.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

_SEPARATOR = re.compile(r"[.\[]")
_INDEX = re.compile(r"[0-9]+\]")


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
"""What a look-up gives when the path leads nowhere; a null that is there is None."""


@lru_cache(maxsize=4096)
def path_parts(path: str) -> tuple[str | int, ...]:
    """The keys (str) and indexes (int) of a path, in order; none for "" and for separators alone.

    >>> path_parts("a.b[01].c")
    ('a', 'b', 1, 'c')
    >>> path_parts("arr[-1]")
    ('arr', '-1]')
    """
    parts = (part for part in _SEPARATOR.split(path) if part)
    # An index of more digits than any body has items stays a key, which is not found.
    return tuple(int(part[:-1]) if _INDEX.fullmatch(part) and len(part) < 16 else part for part in parts)


def look_up(value: Any, parts: tuple[str | int, ...]) -> Any:
    """The value at the end of the path, or MISSING when a key or index is not there or the kind does not fit.

    >>> look_up({"a": [1, {"b": None}]}, path_parts("a[1].b")) is None
    True
    >>> look_up({"a": [1]}, path_parts("a[1]"))
    MISSING
    """
    for part in parts:
        if type(part) is str:
            if type(value) is not dict or part not in value:
                return MISSING
        elif type(value) is not list or part >= len(value):  # type: ignore[operator]  # an int: see path_parts
            return MISSING
        value = value[part]
    return value
