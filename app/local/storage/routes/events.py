"""Events: what components tell of their work. Kept in memory, the newest 10,000, and gone at the next start."""

from __future__ import annotations

from typing import Any

from app.local.storage.errors import invalid
from app.local.storage.records import now, wire_time
from app.local.storage.routes.call import Answer, Call

_TYPES = ("info", "success", "warn", "error")


def create(call: Call) -> Answer:
    """Take one event."""
    values = call.params.values
    message, kind = values.get("message"), values.get("type", "info")
    if not isinstance(message, str) or not message:
        raise invalid("Invalid request: message: this value should not be blank.")
    if kind not in _TYPES:
        raise invalid(f"Invalid request: type: one of {', '.join(_TYPES)} is expected.")
    event: dict[str, Any] = {
        "id": str(call.storage.metadata.next_ticket()),
        "event": f"ext.{values.get('component', '')}.",
        "created": wire_time(now()),
        "component": values.get("component", ""),
        "message": message,
        "type": kind,
        "runId": call.run_id,
        "params": values.get("params") or {},
        "results": values.get("results") or {},
        "token": {"id": str(call.token.id), "name": call.token.description},
    }
    call.storage.events.append(event)
    return Answer(201, event)


def index(call: Call) -> Answer:
    """List events, newest first; of the request's token alone, unless that is the master's."""
    mine = [e for e in call.storage.events if call.token.is_master or e["token"]["id"] == str(call.token.id)]
    run_id, component = call.params.values.get("runId"), call.params.values.get("component")
    found = [e for e in mine if run_id in (None, e["runId"]) and component in (None, e["component"])]
    return Answer(200, found[::-1][: call.params.optional_number("limit") or 100])
