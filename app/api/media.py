"""What a Content-Type says of a body: its media type without the parameters, compared whatever their case. Pure."""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

from app.model.event import NDJSON_TYPES

_JSON = re.compile(r"application/([a-z0-9.\-]+\+)?json\Z")
_CLOUDEVENTS = "application/cloudevents"


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
    """Read from the media type; its parameters (charset) do not matter here."""
    if content_type is None:
        return BodyKind.UNSAID
    media_type = content_type.partition(b";")[0].strip().decode("latin-1").lower()
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
def is_taken_apart(content_type: bytes | None) -> bool:
    """Whether a body of this type is never simply the one event: NDJSON and CloudEvents."""
    return body_kind(content_type) not in (BodyKind.UNSAID, BodyKind.JSON, BodyKind.OTHER)
