"""CloudEvents 1.0 over HTTP: what a CloudEvent is as an event of ours, the same in each content mode.

The event's body is the CloudEvent's data, its headers have the attributes as `Ce-...` and the data's Content-Type, and
`source` with `id`, which are unique by the standard, make the event's id. Pure. Source: CloudEvents 1.0.2, HTTP
protocol binding and JSON event format.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import orjson

from app.api.split import members
from app.mapping.headers import canonical_name
from app.model.errors import BadRequest, clipped
from app.model.event import Headers

PREFIX = "Ce-"
VERSION_HEADER = "Ce-Specversion"
_VERSION = "1.0"
_REQUIRED = ("id", "source", "specversion", "type")
_DATA = frozenset({"data", "data_base64", "datacontenttype"})
_NAME = re.compile(r"[a-z0-9]{1,100}")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """`headers` are all that the event has: the request's, and its own."""

    body: bytes
    headers: Headers
    source: str
    id: str


def structured(body: bytes, fields: Headers) -> CloudEvent:
    """A CloudEvent in JSON, sent with these headers. Raises BadRequest that says what is wrong with it.

    The data is the very text that it has there; a string is its content where the data's type is not JSON.
    """
    try:
        found = members(body)
        attributes = {name: value for name, raw in found.items() if name not in _DATA and (value := _text(name, raw))}
        content_type = _text("datacontenttype", found.get("datacontenttype", b"null")) or "application/json"
        data = _data(found, content_type)
    except ValueError as error:
        raise BadRequest(f"The CloudEvent is not valid JSON: {error}") from error
    _check(attributes)
    headers = [field for field in fields if field[0] != "Content-Type" and not field[0].startswith(PREFIX)]
    headers.append(("Content-Type", content_type.encode()))
    headers += [(_header(name), value.encode()) for name, value in attributes.items()]
    return CloudEvent(data, headers, attributes["source"], attributes["id"])


def binary(body: bytes, fields: Headers) -> CloudEvent:
    """A CloudEvent whose attributes are the request's headers. Raises BadRequest that says what is wrong with them.

    Their values are as they are in the other modes: without the escapes that HTTP needs.
    """
    headers = [(name, _unescaped(value) if name.startswith(PREFIX) else value) for name, value in fields]
    attributes = {
        name.removeprefix(PREFIX).lower(): value.decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(PREFIX) and value
    }
    _check(attributes)
    return CloudEvent(body, headers, attributes["source"], attributes["id"])


def is_binary(found: Mapping[str, bytes]) -> bool:
    """Whether a request with these headers, whose body is no CloudEvent, is one."""
    return VERSION_HEADER in found


def _check(attributes: Mapping[str, str]) -> None:
    missing = [name for name in _REQUIRED if not attributes.get(name)]
    if missing:
        names = ", ".join(f'"{name}"' for name in missing)
        raise BadRequest(f"The CloudEvent has no {names}; each has id, source, specversion and type")
    if attributes["specversion"] != _VERSION:
        version = clipped(attributes["specversion"])
        raise BadRequest(f'The CloudEvent has the specversion "{version}"; supported is "{_VERSION}"')
    for name in attributes:
        _header(name)


@lru_cache(1024)
def _header(name: str) -> str:
    """The header of an attribute. Raises BadRequest for what is no name of one."""
    if not _NAME.fullmatch(name):
        raise BadRequest(f'The CloudEvent has an attribute "{clipped(name)}"; names are 1 to 100 of a-z and 0-9')
    return canonical_name(PREFIX + name)


def _text(name: str, raw: bytes) -> str:
    """An attribute's value as text, "" where there is none: a string, a boolean or an integer. Raises BadRequest."""
    value = orjson.loads(raw)
    if isinstance(value, str):
        if not value.isprintable() and _CONTROL.search(value):
            raise BadRequest(f'The attribute "{clipped(name)}" of the CloudEvent has a control character')
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise BadRequest(
        f'The attribute "{clipped(name)}" of the CloudEvent is neither a string, a boolean nor an integer; '
        "anything else belongs into its data"
    )


def _data(found: Mapping[str, bytes], content_type: str) -> bytes:
    data, encoded = found.get("data"), found.get("data_base64", b"null")
    if encoded != b"null":
        if data is not None:
            raise BadRequest("The CloudEvent has both data and data_base64; it may have one of them")
        try:
            return b64decode(orjson.loads(encoded), validate=True)
        except (Base64Error, ValueError, TypeError) as error:
            raise BadRequest("The data_base64 of the CloudEvent is not valid Base64") from error
    if data is None:
        return b""
    if data[:1] == b'"' and not _is_json(content_type):
        return str(json.loads(data)).encode("utf-8", "replace")
    return data


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type.endswith(("/json", "+json"))


def _unescaped(value: bytes) -> bytes:
    """A header's value without the quotes and the percent encoding that the HTTP binding prescribes."""
    if len(value) >= 2 and value[:1] == value[-1:] == b'"':
        value = _ESCAPED.sub(rb"\1", value[1:-1])
    return unquote_to_bytes(value) if b"%" in value else value
