"""What a case of the tables is: requests with the answers that the Buffer API promises.

Texts may have placeholders: `<name>` is a name of the case's own (a receiver, a bucket), `<there>` a receiver that is
there with the export "e", `<changing>` another one that cases may change, `<address>` the public address, `<project>`
the project's id, `<token>` the administrator's token, `<limited>` one that is no master token. After a task, `<task>`
is its id and `<rest>` what comes after the receiver's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from app.keboola.client import StorageClient

Json = Any
TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Like:
    """Equal to every text that this pattern matches as a whole."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self.pattern, other) is not None

    __hash__ = None  # type: ignore[assignment]  # equal to more than one

    def __repr__(self) -> str:
        return f"Like({self.pattern!r})"


class Whole:
    """Equal to every integer from 0 on."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int) and not isinstance(other, bool) and other >= 0

    __hash__ = None  # type: ignore[assignment]  # equal to more than one

    def __repr__(self) -> str:
        return "Whole()"


@dataclass(frozen=True)
class Ask:
    """One request and its answer.

    `body` is sent as JSON, or as it is when it is bytes. `answer` is the JSON of the answer, or its text when it is a
    str; None is not looked at. With `task`, the task that the request begins is waited for, and the finished task must
    have these fields (`None`: not have it).
    """

    method: str
    path: str
    body: Json = None
    status: int = 200
    answer: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[str, Any] = field(default_factory=dict)
    token: bool = True
    task: Mapping[str, Json] | None = None

    def with_task(self, fields: Mapping[str, Json]) -> Ask:
        return replace(self, task=fields)


@dataclass(frozen=True)
class Case:
    """Requests one after the other. `id` names the rule; `given` prepares Storage, for the case's name; `then` looks at
    Storage afterwards.
    """

    id: str
    asks: Sequence[Ask]
    given: Callable[[StorageClient, str], None] | None = None
    then: Callable[[StorageClient, str], None] | None = None


@dataclass(frozen=True)
class Stage:
    """Where the cases are played: one gateway, seen by an administrator of the project."""

    client: httpx.Client
    storage: StorageClient
    values: dict[str, str]

    def fill(self, value: Json) -> Json:
        """The value with its placeholders filled."""
        if isinstance(value, str):
            for name, text in self.values.items():
                value = value.replace(f"<{name}>", text)
            return value
        if isinstance(value, Like):
            return Like(self.fill(value.pattern))
        if isinstance(value, Mapping):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(item) for item in value]
        return value


def case(id: str, *asks: Ask, **others: Any) -> Case:
    return Case(id, asks, **others)


def error(status: int, name: str, message: str) -> Json:
    """The envelope of an error below 500."""
    return {"statusCode": status, "error": name, "message": message}


def refused(id: str, method: str, path: str, body: Json, status: int, name: str, message: str, **others: Any) -> Case:
    """A single request that is answered by exactly this envelope."""
    return case(id, Ask(method, path, body, status, error(status, name, message), **others))


def succeeds(method: str, path: str, body: Json, **fields: Json) -> Ask:
    """A request that begins a task, which succeeds."""
    return Ask(method, path, body, 200 if method == "PATCH" else 202, task={"status": "success", **fields})


def fails(method: str, path: str, body: Json, message: str) -> Ask:
    """A request that begins a task, which ends with this error."""
    fields = {"status": "error", "error": message, "result": None, "outputs": None}
    return Ask(method, path, body, 200 if method == "PATCH" else 202, task=fields)


def column(name: str, type: str = "body", **others: Json) -> Json:
    return {"name": name, "type": type, **others}


def template(name: str, content: str) -> Json:
    return column(name, "template", template=code(content))


def code(content: str) -> Json:
    return {"language": "jsonnet", "content": content}


def export(name: str = "E", table: str = "in.c-<name>.t", columns: Json = None, **others: Json) -> Json:
    """A valid export with one column unless others are given."""
    mapping = {"tableId": table, "columns": [column("body")] if columns is None else columns}
    return {"name": name, "mapping": mapping, **others}
