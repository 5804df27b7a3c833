"""Event headers: canonical names, the `headers` column, `Header()` and `HeaderStr()`. Source: Buffer API, headers.

Many events of a chunk carry the same headers, so a chunk's distinct sets are kept once (`HeaderSet`) and all that is
made of a set is made once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache

import orjson

from app.mapping.body import BodyKind, body_kind

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HTML = re.compile("[<>&\u2028\u2029]")
_LONGEST_REMEMBERED = 100
"""Characters. Names come from whoever sends a request, with a secret or not, and each may fill a whole head."""


def canonical_name(name: str) -> str:
    """The name as Go spells it: each part between "-" capitalised; a name with an invalid character is left as it is.

    >>> canonical_name("x-REQUEST-id"), canonical_name("no token")
    ('X-Request-Id', 'no token')
    """
    return _remembered(name) if len(name) <= _LONGEST_REMEMBERED else _canonical(name)


def _canonical(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        return name
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


_remembered = lru_cache(maxsize=4096)(_canonical)


class HeaderSet:
    """The headers of one event (and of all that carry the same).

    `raw` is in order, names as received; values that are not UTF-8 are read with U+FFFD for what does not decode.

    >>> HeaderSet([("foo2", b"bar2"), ("Foo1", b"<bar1>")]).text
    'Foo1: <bar1>\\nFoo2: bar2\\n'
    >>> print(HeaderSet([("foo2", b"bar2"), ("Foo1", b"<bar1>")]).cell)
    {"Foo1":"\\u003cbar1\\u003e","Foo2":"bar2"}
    """

    def __init__(self, raw: Iterable[tuple[str, bytes]], kind: BodyKind | None = None) -> None:
        """`kind` says how the body is to be read, whatever the Content-Type says."""
        self.raw = tuple(raw)
        self._kind = kind

    @cached_property
    def values(self) -> dict[str, str]:
        """Canonical name to first value, sorted by name; U+FFFD in names for what UTF-8 cannot carry.

        >>> HeaderSet([("foo2", b"bar2"), ("Foo2", b"bar3"), ("Foo1", b"bar1")]).values
        {'Foo1': 'bar1', 'Foo2': 'bar2'}
        """
        first: dict[str, str] = {}
        for name, value in self.raw:
            first.setdefault(clean_text(canonical_name(name)), value.decode("utf-8", "replace"))
        return dict(sorted(first.items()))

    @cached_property
    def text(self) -> str:
        """`HeaderStr()`: a line "Name: value" and LF for each header, lines sorted."""
        return "".join(sorted(f"{name}: {value}\n" for name, value in self.values.items()))

    @cached_property
    def cell(self) -> str:
        """The `headers` column: a compact JSON object, with the characters that HTML minds escaped, as Go writes it."""
        text = orjson.dumps(self.values).decode()
        return _HTML.sub(lambda m: f"\\u{ord(m[0]):04x}", text)

    @cached_property
    def size(self) -> int:
        """Bytes of names and values as received."""
        return sum(len(name) + len(value) for name, value in self.raw)

    @cached_property
    def kind(self) -> BodyKind:
        """How the body is to be read, by the Content-Type if nothing else was said."""
        return self._kind or body_kind(self.values.get("Content-Type", ""))


def clean_text(text: str) -> str:
    """The text with U+FFFD for what UTF-8 cannot carry.

    >>> clean_text("a\\ud800")
    'a\ufffd'
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
