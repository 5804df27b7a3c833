"""JSON bodies of requests in the OpenAPI document: what of a schema holds for several fields together, and examples.

What a single field means and allows is in `glossary`. Source: Buffer API, request and response schemas.
"""

from __future__ import annotations

from typing import Any

from app.api.signing import FORM_FIELDS
from app.model.signature import Scheme

_BASE64 = (  # of 8 bytes at least
    "^(whsec_)?(([A-Za-z0-9+/]{4}){2}[A-Za-z0-9+/]{3}=|([A-Za-z0-9+/]{4}){3,}([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$"
)

SCHEMAS: dict[str, dict[str, Any]] = {
    "ColumnPayload": {
        "allOf": [
            {
                "if": {"properties": {"type": {"const": "template"}}},
                "then": {"required": ["template"], "properties": {"template": {"type": "object"}}},
            },
            {
                "if": {"properties": {"type": {"const": "path"}}},
                "then": {"required": ["path"], "properties": {"path": {"type": "string"}}},
            },
            {
                "if": {"properties": {"type": {"enum": ["template", "path"]}}},
                "else": {"properties": {"rawString": {"enum": [False, None]}}},
            },
        ]
    },
    "ReceiverPayload": {
        "allOf": [
            {
                "properties": {
                    "signature": {
                        "anyOf": [
                            {"type": "null"},
                            {"required": ["secrets"], "properties": {"secrets": {"type": "array"}}},
                        ]
                    }
                }
            }
        ]
    },
    "SignaturePayload": {
        "allOf": [
            {
                "if": {"properties": {"scheme": {"const": Scheme.HMAC.value}}},
                "then": {"required": ["header"], "properties": {"header": {"type": "string"}}},
                "else": {"properties": {name: {"type": "null"} for name in FORM_FIELDS}},
            },
            {
                "if": {"properties": {"scheme": {"enum": ["hmac", "github", "shopify"]}}},
                "then": {
                    "anyOf": [
                        {"properties": {"tolerance": {"type": "null"}}},
                        {"required": ["timestampHeader"], "properties": {"timestampHeader": {"type": "string"}}},
                    ]
                },
            },
            {
                "if": {"properties": {"scheme": {"const": Scheme.STANDARD.value}}},
                "then": {"properties": {"secrets": {"items": {"pattern": _BASE64}}}},
            },
        ]
    },
}
"""Keywords for whole schemas."""

_EXPORT: dict[str, Any] = {
    "id": "all",
    "name": "All clicks",
    "conditions": {"count": 1000, "size": "5MB", "time": "1m"},
    "mapping": {
        "tableId": "in.c-web.clicks",
        "columns": [
            {"name": "id", "type": "id", "primaryKey": True},
            {"name": "time", "type": "datetime"},
            {"name": "page", "type": "template", "template": {"language": "jsonnet", "content": 'Body("page")'}},
            {"name": "user", "type": "path", "path": "user.id", "defaultValue": "", "rawString": True},
            {"name": "body", "type": "body"},
        ],
    },
}

BODIES: dict[str, dict[str, Any]] = {
    "createReceiver": {
        "receiver with a table": {"id": "clicks", "name": "Clicks", "exports": [_EXPORT]},
        "receiver alone": {"name": "Clicks"},
        "signed by GitHub": {
            "name": "Commits",
            "signature": {"scheme": "github", "secrets": ["the secret of the webhook"]},
        },
    },
    "createExport": {"export": _EXPORT},
    "requeueDeadLetters": {"all": {}, "some": {"reason": "template.error", "since": "2026-01-02T03:04:05Z"}},
    "createReplay": {
        "into the export's table": {"from": "2026-01-02T03:04:05Z", "to": "2026-01-02T04:00:00Z"},
        "into another table": {"from": "2026-01-02", "to": "2026-01-03", "tableId": "in.c-web.clicks-again"},
    },
    "testExport": {"one event": {"page": "/pricing"}, "an event for each element": [{"page": "/a"}, {"page": "/b"}]},
    "testMapping": {
        "a described event": {
            "mapping": {"columns": _EXPORT["mapping"]["columns"]},
            "event": {"body": {"page": "/pricing"}, "headers": {"X-Shop": "1"}, "ip": "203.0.113.7"},
        },
        "real events": {"mapping": {"columns": _EXPORT["mapping"]["columns"]}, "receiverId": "clicks", "last": 10},
    },
    "updateReceiver": {
        "name and description": {"name": "Clicks", "description": "Clicks of the shop."},
        "a new secret of the sender's": {
            "signature": {"scheme": "github", "secrets": ["the new secret", "the secret before"]}
        },
        "signatures in a form of one's own": {
            "signature": {
                "scheme": "hmac",
                "secrets": ["a secret of the sender's"],
                "header": "X-Signature",
                "timestampHeader": "X-Timestamp",
                "content": "{timestamp}.{body}",
            }
        },
        "no signatures": {"signature": None},
        "whole bodies": {"split": "off"},
    },
    "updateExport": {
        "mapping": {"mapping": _EXPORT["mapping"]},
        "filter": {"filter": {"language": "jsonnet", "content": 'Body("page") != "/health"'}},
        "conditions": {"conditions": {"count": 5000, "size": "10MB", "time": "5m"}},
    },
}
"""Examples of a request's JSON body, by operation id and title. A new route with a body needs one line here."""
