"""What a Content-Type says of a body: its media type, compared whatever its case, and its charset. Pure."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from app.api.charset import Charset, TextKind, charset_named
from app.model.event import NDJSON_TYPES

_JSON = re.compile(r"application/([a-z0-9.\-]+\+)?json\Z")
_CLOUDEVENTS = "application/cloudevents"
_FORM = "application/x-www-form-urlencoded"
_TEXT = re.compile(r"text/|application/([a-z0-9.\-]+\+)?xml\Z")
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')


class BodyKind(Enum):
    """How the body of a request is taken apart."""

    UNSAID = 0
    JSON = 1
    NDJSON = 2
    OTHER = 3
    CLOUDEVENT = 4
    """One CloudEvent with its attributes: the structured mode, in JSON."""
    CLOUDEVENTS = 5
    """Several in a JSON array: the batched mode."""
    UNKNOWN_CLOUDEVENT = 6
    """CloudEvents in a format that is not JSON."""


@lru_cache(64)  # few: what is remembered is as long as a sender makes it
def body_kind(content_type: bytes | None) -> BodyKind:
    """Read from the media type; its parameters do not matter here."""
    if content_type is None:
        return BodyKind.UNSAID
    media_type = _media_type(content_type)
    if media_type in NDJSON_TYPES:
        return BodyKind.NDJSON
    if media_type.startswith(_CLOUDEVENTS):
        return _cloudevents(media_type.removeprefix(_CLOUDEVENTS))
    return BodyKind.JSON if _JSON.match(media_type) else BodyKind.OTHER


def _cloudevents(format: str) -> BodyKind:
    """Source: CloudEvents 1.0, HTTP binding, content modes."""
    if format == "+json":
        return BodyKind.CLOUDEVENT
    if format == "-batch+json":
        return BodyKind.CLOUDEVENTS
    return BodyKind.UNKNOWN_CLOUDEVENT if format[:1] in ("", "+", "-") else BodyKind.OTHER


@lru_cache(64)
def charset_of(content_type: bytes | None) -> Charset | None:
    """What a text is written in; None for UTF-8, and for what is no text. Source: RFC 9110, 8.3.2."""
    if content_type is None or b";" not in content_type:
        return None
    kind = _text_kind(content_type)
    labels = (
        value.strip().strip("\"'")
        for name, value in _PARAMETER.findall(content_type.decode("latin-1"))
        if name.lower() == "charset"
    )
    label = next(labels, "")
    return None if kind is None or not label else charset_named(label, kind)


@lru_cache(64)
def is_plain(content_type: bytes | None) -> bool:
    """Whether a body of this type that is no array is the one event, as it is: neither NDJSON, nor CloudEvents, nor
    in another charset than UTF-8.
    """
    kind = body_kind(content_type)
    return kind in (BodyKind.UNSAID, BodyKind.JSON, BodyKind.OTHER) and charset_of(content_type) is None


def _text_kind(content_type: bytes) -> TextKind | None:
    if body_kind(content_type) is not BodyKind.OTHER:
        return TextKind.JSON
    media_type = _media_type(content_type)
    if media_type == _FORM:
        return TextKind.FORM
    return TextKind.TEXT if _TEXT.match(media_type) else None


def _media_type(content_type: bytes) -> str:
    return content_type.partition(b";")[0].strip().decode("latin-1").lower()
