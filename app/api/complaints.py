"""Words for what the schema of a request refuses. Source: Buffer API, errors: names and messages.

Pydantic says what is wrong with a value; here it becomes the API's error name and a message with the path of the value
("body.exports[0].name"). What a schema cannot see (ids, table ids, templates, conditions) is checked in `payloads`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from app.model.errors import clipped

MAX_TOLD = 20
"""Problems of one body that are told, so that answers are bounded."""
_WANTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "bool_type": "true or false",
    "list_type": "an array",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
}


@dataclass(frozen=True)
class Complaint:
    name: str
    message: str


def first_complaints(errors: Sequence[Any]) -> list[Complaint]:
    """The complaints about the body; only when it has none, those about the header. One more than are told, at most.

    Source: Buffer API, conventions: the body is decoded and validated before the header.
    """
    body = [error for error in errors if error["loc"][0] == "body"]
    return [_complain(error) for error in (body or errors)[: MAX_TOLD + 1]]


def told_together(messages: Sequence[str]) -> str:
    """Several problems as one message, the first ones when there are too many. Source: Buffer API, errors."""
    if len(messages) > MAX_TOLD:
        messages = [*messages[:MAX_TOLD], "and more"]
    *others, last = messages
    return "; ".join([*(text.removesuffix(".") for text in others), last])


def _complain(error: Mapping[str, Any]) -> Complaint:
    kind, location, value = error["type"], error["loc"], error.get("input")
    context = error.get("ctx") or {}
    path = path_of(location)
    if "secrets" in location and not isinstance(value, list):
        value = "…"  # nothing repeats a secret, nor what stands in its place
    if kind == "json_invalid":
        text = f"invalid JSON: {context.get('error', 'syntax error')} at character {location[-1]}"
        return Complaint("buffer.decodePayload", text)
    if kind in _WANTED and value is None and isinstance(location[-1], str):
        kind = "missing"  # null is like a field that is not there
    if kind == "missing" and location == ("body",):
        return Complaint("buffer.missingPayload", "missing required payload")
    if kind == "missing" and location[0] == "header":
        return Complaint("buffer.missingField", '"X-StorageApi-Token" is missing from header')
    if kind == "missing":
        return Complaint("buffer.missingField", f'"{location[-1]}" is missing from {path_of(location[:-1])}')
    if kind in ("string_too_long", "too_long"):
        return _length(path, value, "lesser", context["max_length"])
    if kind in ("string_too_short", "too_short"):
        return _length(path, value, "greater", context["min_length"])
    if kind in ("greater_than_equal", "less_than_equal"):
        word, bound = ("greater", context["ge"]) if kind.startswith("g") else ("lesser", context["le"])
        return Complaint(
            "buffer.invalidRange", f"{path} must be {word} or equal than {bound} but got value {_echo(value)}"
        )
    if kind == "literal_error":
        allowed = ", ".join(f'"{word}"' for word in re.findall(r"'([^']*)'", context["expected"]))
        return Complaint(
            "buffer.invalidEnumValue", f"value of {path} must be one of {allowed} but got value {_echo(value)}"
        )
    wanted = _WANTED.get(kind)
    if wanted is not None:
        return Complaint("buffer.decodePayload", f"{path} must be {wanted} but got value {_echo(value)}")
    return Complaint("buffer.badRequest", f"{path}: {error['msg']}")


def path_of(location: Sequence[Any]) -> str:
    """("body", "exports", 0, "name") is "body.exports[0].name"; parameters have the names of the documentation."""
    if location[0] == "path":
        location = ("path", *(to_camel(str(part)) for part in location[1:]))
    text = str(location[0])
    for part in location[1:]:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


def _length(path: str, value: Any, word: str, bound: int) -> Complaint:
    got = f"got value {_echo(value)} " if isinstance(value, str) else "got "
    return Complaint(
        "buffer.invalidLength", f"length of {path} must be {word} or equal than {bound} but {got}(len={len(value)})"
    )


def _echo(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else type(value).__name__
    return f'"{clipped(text)}"'
