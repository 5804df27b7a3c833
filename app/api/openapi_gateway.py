"""The part of the OpenAPI document that FastAPI cannot know: what the gateway answers by itself.

That is the import endpoint (`app.gateway.ingest`) and the two probes (`app.gateway.routes`). Their errors are in
`failures`, as all others.
"""

from __future__ import annotations

from typing import Any

_OK = {"text/plain": {"schema": {"const": "OK"}, "example": "OK"}}
_EVENT = {"page": "/pricing"}
_EVENTS = [{"page": "/a"}, {"page": "/b"}]
_CLOUDEVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "https://shop.example.com/checkout",
    "type": "com.example.order",
    "datacontenttype": "application/json",
    "data": {"order": 17},
}
_ATTRIBUTE = {"type": "string", "pattern": "^[!-~]+$"}
_CLOUDEVENT_SCHEMA = {
    "type": "object",
    "properties": {
        "specversion": {"const": "1.0"},
        **dict.fromkeys(("id", "source", "type", "datacontenttype"), _ATTRIBUTE),
        "data": {},
    },
    "patternProperties": {"^[a-z0-9]{1,100}$": {}},
    "additionalProperties": False,
    "required": ["specversion", "id", "source", "type"],
}
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
    "application/cloudevents+json": {
        "schema": _CLOUDEVENT_SCHEMA,
        "examples": {"a CloudEvent": {"value": _CLOUDEVENT}},
    },
    "application/cloudevents-batch+json": {
        "schema": {"type": "array", "items": _CLOUDEVENT_SCHEMA},
        "examples": {"an event for each CloudEvent": {"value": [_CLOUDEVENT, {**_CLOUDEVENT, "id": "2"}]}},
    },
    "*/*": {"schema": {"format": "binary"}, "examples": {"one event": {"value": "anything, byte for byte"}}},
}
_PLACED = {"id": "019b0a5d-ac96-774b-bcce-b302099a8057", "partition": 2, "offset": 1234}
_REFUSED = {"status": 400, "error": "buffer.badRequest", "message": 'The CloudEvent has no "id".'}
_PLACE = {
    "id": {"type": "string", "format": "uuid", "description": "The event's id."},
    "partition": {"type": ["integer", "null"], "description": "Its partition in Kafka."},
    "offset": {"type": ["integer", "null"], "description": "Its offset; null where Kafka did not say it."},
}
_RECEIPT = {
    "type": "object",
    "properties": {
        "events": {
            "type": "array",
            "description": "The events in order.",
            "items": {"type": "object", "properties": _PLACE, "required": list(_PLACE)},
        }
    },
    "required": ["events"],
}
_RESULTS = {
    "type": "object",
    "properties": {
        "accepted": {"type": "integer", "minimum": 0, "description": "Events that Kafka has."},
        "refused": {"type": "integer", "minimum": 0, "description": "Events that were not taken."},
        "events": {
            "type": "array",
            "description": "The events in order.",
            "items": {
                "type": "object",
                "properties": {
                    **_PLACE,
                    "status": {"type": "integer", "description": "200, or why the event was not taken."},
                    "error": {"type": "string", "description": "The error's name."},
                    "message": {"type": "string", "description": "What was wrong and what is allowed."},
                },
                "required": ["status"],
            },
        },
    },
    "required": ["accepted", "refused", "events"],
}
_CHALLENGE = {
    "type": "object",
    "properties": {"challenge": {"type": "string", "description": "What the request asked to have back."}},
    "required": ["challenge"],
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
_WISHES = (
    _VALIDATE,
    _parameter(
        "query",
        "split",
        "With `off` the body is one event as it is, whatever is in it; without it the receiver's `split` counts.",
        "off",
        enum=["on", "off"],
    ),
    _parameter(
        "query",
        "receipt",
        "With `1` or `true` the answer has each event's id, partition and offset.",
        "1",
        enum=["1", "true", "0", "false"],
    ),
    _parameter(
        "header",
        "Prefer",
        "With `return=representation` each event of a batch is taken or refused for itself, and the answer "
        "has the end of each.",
        "return=representation",
    ),
    _parameter(
        "header",
        "Idempotency-Key",
        "The ids of the events follow from it, so a request that is sent again with the same key has the "
        "same ids. A key that begins with `kafka:` names the place in Kafka of each event, such as "
        "`kafka:orders/3/1000-1204,1206`.",
        "5f0c2d0e-8c7e-4d5c-9a51-8f1b1d4f7a10",
        pattern="^[!-~]([ -~]*[!-~])?$",
        maxLength=1024,
    ),
)
_BODY = {
    "description": "The events. Content-Type need not be there.",
    "required": False,
    "content": EVENT_BODIES,
}
_IMPORTED: dict[str, Any] = {
    "200": {
        "description": "Kafka has all events, or they are valid. The body is empty, unless a receipt or a "
        "result for each event was asked for, or Slack tests the URL of a receiver with its signature.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [_RECEIPT, _RESULTS, _CHALLENGE]},
                "examples": {
                    "a receipt": {"value": {"events": [_PLACED]}},
                    "a result for each event": {
                        "value": {"accepted": 1, "refused": 0, "events": [{"status": 200, **_PLACED}]}
                    },
                    "to Slack, which tests the URL": {"value": {"challenge": "3eZbrw1aBm2rZgRN"}},
                },
            }
        },
    },
    "207": {
        "description": "Asked for by `Prefer: return=representation`: some events were not taken.",
        "headers": {"Retry-After": {"$ref": "#/components/headers/Retry-After"}},
        "content": {
            "application/json": {
                "schema": _RESULTS,
                "example": {"accepted": 1, "refused": 1, "events": [{"status": 200, **_PLACED}, _REFUSED]},
            }
        },
    },
}

GATEWAY_PATHS: dict[str, Any] = {
    "/v1/import/{projectId}/{receiverId}/{secret}": {
        "post": {
            "operationId": "importEvents",
            "description": "Send events to a receiver. 200 means that Kafka has all of them, on all in-sync replicas, "
            "also those that cannot be mapped (they become dead letters). A JSON array is one event for each element, "
            "NDJSON one for each line, a batch of CloudEvents one for each, all or nothing; anything else is one "
            "event. gzip, deflate and zstd (`Content-Encoding`) are inflated; text in another charset (of the "
            "Content-Type) is stored in UTF-8. Headers of the request are headers of "
            "each event. A 503 may be sent again; the events of a request that was not acknowledged in time may then "
            "be there twice, unless an `Idempotency-Key` gives them the same ids each time and `id` is the table's "
            "primary key. A receiver with a `signature` takes signed requests only.",
            "parameters": [*_IN_PATH, _SECRET, *_WISHES],
            "requestBody": _BODY,
            "responses": _IMPORTED,
        }
    },
    "/v1/import/{projectId}/{receiverId}": {
        "post": {
            "operationId": "importEventsByToken",
            "description": "The same with the receiver's secret as a bearer token, which is not among the events' "
            "headers. A receiver with `auth` `bearer` takes events only so.",
            "parameters": [*_IN_PATH, *_WISHES],
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
