"""The part of the OpenAPI document that FastAPI cannot know: what the gateway answers by itself.

That is the import endpoint (`app.gateway.ingest`) and the two probes (`app.gateway.routes`). Their errors are in
`failures`, as all others.
"""

from __future__ import annotations

from typing import Any

_OK = {"text/plain": {"schema": {"const": "OK"}, "example": "OK"}}
_EVENT = {"page": "/pricing"}
_EVENTS = [{"page": "/a"}, {"page": "/b"}]
EVENT_BODIES: dict[str, Any] = {
    "application/json": {
        "schema": {},
        "examples": {"one event": {"value": _EVENT}, "an event for each element": {"value": _EVENTS}},
    },
    "application/x-ndjson": {
        "schema": {},  # a line that is no JSON is an event too
        "examples": {"an event for each line": {"value": '{"page": "/a"}\n{"page": "/b"}\n'}},
    },
    "application/x-www-form-urlencoded": {
        "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        "examples": {"one event": {"value": _EVENT}},
    },
    "*/*": {"schema": {"format": "binary"}, "examples": {"one event": {"value": "anything, byte for byte"}}},
}


def _parameter(where: str, name: str, description: str, example: str, **schema: Any) -> dict[str, Any]:
    return {
        "in": where,
        "name": name,
        "description": description,
        "required": where == "path",
        "schema": {"type": "string", **schema},
        "example": example,
    }


_IN_PATH = (
    _parameter("path", "projectId", "The project, as in the receiver's `url`.", "1234"),
    _parameter("path", "receiverId", "The receiver's id.", "clicks"),
)
_SECRET = _parameter("path", "secret", "The receiver's secret, as in its `url`.", "0aZ" * 16)
_VALIDATE = _parameter(
    "query",
    "validate",
    "With `1` or `true` the events are mapped by every export and not stored: 200 when all of them can be mapped, else "
    "what is wrong.",
    "1",
    enum=["1", "true", "0", "false"],
)
_BODY = {
    "description": "The events. Content-Type need not be there.",
    "required": False,
    "content": EVENT_BODIES,
}
_IMPORTED = {"200": {"description": "Kafka has all events, or they are valid. The body is empty."}}

GATEWAY_PATHS: dict[str, Any] = {
    "/v1/import/{projectId}/{receiverId}/{secret}": {
        "post": {
            "operationId": "importEvents",
            "description": "Send events to a receiver. 200 means that Kafka has all of them, on all in-sync replicas, "
            "also those that cannot be mapped (they become dead letters). A JSON array is one event for each element, "
            "NDJSON one for each line, both all or nothing; anything else, a compressed body too, is one event. "
            "Headers of the request are headers of each event. A 503 may be sent again; the events of a request that "
            "was not acknowledged in time may then be there twice. A receiver with a `signature` takes signed requests "
            "only.",
            "parameters": [*_IN_PATH, _SECRET, _VALIDATE],
            "requestBody": _BODY,
            "responses": _IMPORTED,
        }
    },
    "/v1/import/{projectId}/{receiverId}": {
        "post": {
            "operationId": "importEventsByToken",
            "description": "The same with the receiver's secret as a bearer token, which is not among the events' "
            "headers. A receiver with `auth` `bearer` takes events only so.",
            "parameters": [*_IN_PATH, _VALIDATE],
            "security": [{"Bearer": []}],
            "requestBody": _BODY,
            "responses": _IMPORTED,
        }
    },
    "/health-check": {
        "get": {
            "operationId": "healthCheck",
            "description": "Whether the process is alive.",
            "responses": {"200": {"description": "It is alive.", "content": _OK}},
        }
    },
    "/ready": {
        "get": {
            "operationId": "ready",
            "description": "Whether the process can take events and calls: Kafka answers, the configuration is fresh.",
            "responses": {"200": {"description": "It can.", "content": _OK}},
        }
    },
}
