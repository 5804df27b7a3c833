"""The OpenAPI document: what FastAPI knows of the routes, and what it does not.

FastAPI gives paths and schemas; here come the API's own names for parameters, all errors (`failures`), meanings
(`glossary`), what bodies must be as a whole with examples (`openapi_bodies`), the security scheme and what the gateway
answers without FastAPI (`openapi_gateway`). The document is pure data, the same for the same settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from app.api.failures import error_responses
from app.api.glossary import PARAMETERS, fields
from app.api.openapi_bodies import BODIES, SCHEMAS
from app.api.openapi_gateway import GATEWAY_PATHS
from app.settings import Settings

_METHODS = ("get", "post", "patch", "put", "delete")
_AUTH = "X-StorageApi-Token"
_ABOUT = (
    "Receivers take events over HTTP; each export of a receiver maps every event to a row of a Keboola table.\n\n"
    "What takes time is a *task*: the answer, 202 (200 where an export is changed), has the task, which has begun; "
    "its `url` tells how it ended. Every error has the same envelope, a wrong method's included (405 "
    "`buffer.methodNotAllowed`), and every answer an `X-Request-Id`. "
    "OPTIONS is answered on every path, for browsers of any origin."
)
_TAGS = {
    "import": "Send events.",
    "receivers": "Receivers: where events come in.",
    "exports": "Exports of a receiver: where its events go.",
    "test": "Try a mapping: nothing is stored.",
    "tasks": "Tasks: how a change went.",
    "service": "The service itself.",
}


class Error(BaseModel):
    """Every error of the API."""

    statusCode: int  # the name on the wire
    error: str
    message: str
    exceptionId: str | None = None  # the same


def operation_id(route: APIRoute) -> str:
    """`create_receiver` is createReceiver."""
    return to_camel(route.name)


def openapi_document(api: FastAPI, settings: Settings) -> dict[str, Any]:
    """The document of all routes of the API and of the gateway's own."""
    document = get_openapi(
        title="Data Streams: Buffer API",
        version=api.version,
        description=_ABOUT,
        routes=api.routes,
        servers=[{"url": settings.public_address}],
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    paths = {**document["paths"], **deepcopy(GATEWAY_PATHS)}
    document["paths"] = {_public_path(path): item for path, item in paths.items()}
    for path, item in document["paths"].items():
        for method in item.keys() & set(_METHODS):
            _complete(path, item[method])
    document["components"] = _components(document["components"]["schemas"], settings)
    return {key: _public_refs(value) for key, value in document.items()}


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Put in what FastAPI does not know of an operation."""
    name = operation["operationId"]
    operation["tags"] = [_tag(path)]
    operation["summary"] = _words(name)
    _parameters(operation)
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None and name in BODIES:
        body["examples"] = {title: {"value": example} for title, example in BODIES[name].items()}
    responses = operation["responses"]
    responses.pop("422", None)  # a body that is refused is 400 here
    for answer in responses.values():
        if answer.get("content") == {"application/json": {"schema": {}}}:
            del answer["content"]
        answer.setdefault("headers", {})["X-Request-Id"] = {"$ref": "#/components/headers/X-Request-Id"}
        if answer["description"] == "Successful Response":
            answer["description"] = "Done." if "content" not in answer else "The answer."
    if "301" in responses:
        responses["301"]["headers"]["Location"] = {"schema": {"type": "string"}, "description": "Where to go."}
    responses.update(error_responses(name))


def _parameters(operation: dict[str, Any]) -> None:
    """The token is a security scheme, names are camelCase, meanings come from the glossary."""
    given = operation.pop("parameters", [])
    kept = [parameter for parameter in given if parameter["name"] != _AUTH]
    if len(kept) < len(given):
        operation["security"] = [{_AUTH: []}]
    for parameter in kept:
        if parameter["in"] == "path":
            parameter["name"] = to_camel(parameter["name"])
        known = PARAMETERS.get(parameter["name"], {})
        parameter["schema"] = {**_never_null(_untitled(parameter["schema"])), **known.get("schema", {})}
        parameter.update({key: value for key, value in known.items() if key != "schema"})
    if kept:
        operation["parameters"] = kept


def _components(schemas: dict[str, Any], settings: Settings) -> dict[str, Any]:
    schemas = {name: schema for name, schema in schemas.items() if "ValidationError" not in name}
    schemas["Error"] = Error.model_json_schema()
    known = fields(settings)
    for name, schema in schemas.items():
        public = _public_schema(name)
        for field, described in schema["properties"].items():
            if not name.endswith(("Payload", "Patch")):  # answers leave out what is absent
                described = _never_null(described)
            extra = known.get(f"{public}.{field}", known.get(field, {}))
            schema["properties"][field] = _describe(_untitled(described), extra)
        schema.update(SCHEMAS.get(name, {}), title=public)
    return {
        "schemas": {_public_schema(name): schema for name, schema in sorted(schemas.items())},
        "securitySchemes": {
            _AUTH: {
                "type": "apiKey",
                "in": "header",
                "name": _AUTH,
                "description": "A master token of a project administrator; the project is the token's.",
            },
            "Bearer": {"type": "http", "scheme": "bearer", "description": "The secret of a receiver, for its events."},
        },
        "headers": {
            "X-Request-Id": {
                "description": "Names the request in the log.",
                "required": True,
                "schema": {"type": "string", "pattern": "^[0-9A-Za-z]{15}$"},
            },
            "Retry-After": {
                "description": "Seconds to wait before the request is sent again.",
                "schema": {"type": "integer", "minimum": 1},
            },
        },
    }


def _describe(schema: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Add keywords to a field; those that check go to the alternative of it that is not null."""
    annotations = {key: value for key, value in extra.items() if key in ("description", "examples")}
    checks = {key: value for key, value in extra.items() if key not in annotations}
    if "anyOf" in schema:
        alternatives = [part if part == {"type": "null"} else {**part, **checks} for part in schema["anyOf"]]
        return {**schema, "anyOf": alternatives, **annotations}
    return {**schema, **checks, **annotations}


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    parts = [part for part in schema.get("anyOf", ()) if part != {"type": "null"}]
    if len(parts) != 1:
        return schema
    return {**{key: value for key, value in schema.items() if key not in ("anyOf", "default")}, **parts[0]}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """Without pydantic's title, which says the name again."""
    return {key: value for key, value in schema.items() if key != "title"}


def _public_path(path: str) -> str:
    return "/".join("{" + to_camel(part[1:-1]) + "}" if part.startswith("{") else part for part in path.split("/"))


def _public_schema(name: str) -> str:
    """ReceiverAnswer is Receiver to the caller."""
    return name.removesuffix("Answer")


def _public_refs(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _public_schema(v) if key == "$ref" else _public_refs(v) for key, v in value.items()}
    return [_public_refs(item) for item in value] if isinstance(value, list) else value


def _tag(path: str) -> str:
    for tag in ("import", "test", "tasks", "exports", "receivers"):
        if tag in path.split("/"):
            return tag
    return "service"


def _words(name: str) -> str:
    """createReceiver is "Create receiver"."""
    return "".join(_spaced(name)).capitalize()


def _spaced(name: str) -> Iterator[str]:
    for letter in name:
        yield f" {letter}" if letter.isupper() else letter
