"""Bodies of requests that try a mapping which is not saved: its schema, and what a schema cannot see."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr

from app.api.payloads import MAX_ITEMS, WHOLE, MappingPayload, TemplatePayload
from app.api.problems import Payload
from app.api.samples import body_bytes, given_headers
from app.model.errors import BadRequest
from app.model.event import Headers

MAX_LAST = 100
"""Real events that one dry run takes."""
Last = Annotated[StrictInt, Field(ge=1, le=MAX_LAST), WHOLE]


class DraftMappingPayload(MappingPayload):
    """A mapping that may not know its table yet."""

    table_id: StrictStr = "in.c-bucket.table"


class EventPayload(Payload):
    """An event. A body that is a text is taken as it is, anything else as its JSON."""

    body: Any = None
    headers: dict[str, StrictStr] | None = None
    content_type: StrictStr | None = None
    ip: Annotated[StrictStr, Field(max_length=100)] | None = None


class DryRunPayload(Payload):
    """One of `event`, `events`, and `receiver_id` with `last`."""

    mapping: DraftMappingPayload
    filter: TemplatePayload | None = None
    event: EventPayload | None = None
    events: Annotated[list[EventPayload], Field(max_length=MAX_ITEMS)] | None = None
    receiver_id: StrictStr | None = None
    last: Last | None = None


def check_source(payload: DryRunPayload) -> None:
    """Raises BadRequest unless the body says once where the events are."""
    given = [payload.event is not None, payload.events is not None, payload.last is not None]
    if sum(given) != 1 or (payload.receiver_id is None) is not (payload.last is None):
        raise BadRequest("Give one of body.event, body.events, and body.receiverId with body.last")


def described_events(payload: DryRunPayload) -> list[tuple[bytes, Headers, str]]:
    """Body, headers and address of each event that the body describes."""
    events = [payload.event] if payload.event is not None else payload.events or []
    return [
        (
            body_bytes(event.body) if "body" in event.model_fields_set else b"",
            given_headers(event.headers or {}, event.content_type),
            event.ip or "",
        )
        for event in events
    ]
