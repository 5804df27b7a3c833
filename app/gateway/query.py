"""What the query of an import URL asks for: `validate=1`. All else in it is ignored. Pure."""

from __future__ import annotations

from urllib.parse import parse_qsl

from app.model.errors import BadRequest, clipped

_NAME = "validate"
_ON = frozenset({"1", "true"})
_OFF = frozenset({"0", "false"})


def wants_validation(url: bytes) -> bool:
    """Whether this URL with a query asks to validate, or says what is neither yes nor no: then nothing is stored."""
    return (b"validate" in url or b"%" in url) and any(value not in _OFF for value in _values(url))


def check_validation(url: bytes) -> None:
    """Raise BadRequest when the URL says what is neither yes nor no."""
    for value in _values(url):
        if value not in _ON | _OFF:
            raise BadRequest(
                f'value of query.validate must be one of "1", "true", "0", "false" but got value "{clipped(value)}"',
                "buffer.invalidEnumValue",
            )


def _values(url: bytes) -> list[str]:
    query = url.partition(b"?")[2].partition(b"#")[0].decode("latin-1")
    return [value for name, value in parse_qsl(query, keep_blank_values=True) if name == _NAME]
