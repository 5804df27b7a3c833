"""What the query of an import URL and the header Prefer ask for: `validate`, `split` and `receipt`, and a result for
each event. All else in them is ignored. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from app.model.errors import BadRequest, clipped

_VALIDATE = "validate"
_YES = frozenset({"1", "true"})
_NO = frozenset({"0", "false"})
_ON, _OFF = frozenset({"on"}), frozenset({"off"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """`split`: whether the body may be many events (None: as the receiver has it); `receipt`: the answer says where
    each event is.
    """

    split: bool | None = None
    receipt: bool = False


NO_WISHES = Wishes()


@lru_cache(64)  # few: what is remembered is as long as a sender makes it
def read_wishes(query: bytes) -> Wishes:
    """What the part of a URL after its "?" asks for; of what is said twice the last. Raises BadRequest."""
    found = dict(_pairs(query))
    split = found.get("split")
    receipt = found.get("receipt")
    return Wishes(
        None if split is None else _choice("split", split, _ON, _OFF),
        receipt is not None and _choice("receipt", receipt, _YES, _NO),
    )


@lru_cache(64)
def wants_each(prefer: bytes) -> bool:
    """Whether a Prefer header asks for a result for each event (`return=representation`). Source: RFC 7240."""
    preferences = [part.partition(";")[0] for part in prefer.decode("latin-1").lower().split(",")]
    return any(part.replace('"', "").replace(" ", "") == "return=representation" for part in preferences)


def wants_validation(url: bytes) -> bool:
    """Whether this URL with a query asks to validate, or says what is neither yes nor no: then nothing is stored."""
    return (b"validate" in url or b"%" in url) and any(value not in _NO for value in _values(url))


def check_validation(url: bytes) -> None:
    """Raise BadRequest when the URL says what is neither yes nor no."""
    for value in _values(url):
        _choice(_VALIDATE, value, _YES, _NO)


def _values(url: bytes) -> list[str]:
    return [value for name, value in _pairs(url.partition(b"?")[2]) if name == _VALIDATE]


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.partition(b"#")[0].decode("latin-1"), keep_blank_values=True)


def _choice(name: str, value: str, yes: frozenset[str], no: frozenset[str]) -> bool:
    if value in yes or value in no:
        return value in yes
    allowed = ", ".join(f'"{word}"' for words in (yes, no) for word in sorted(words))
    raise BadRequest(
        f'value of query.{name} must be one of {allowed} but got value "{clipped(value)}"', "buffer.invalidEnumValue"
    )
