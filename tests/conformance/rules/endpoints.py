"""Section 1.2: every endpoint with its status, the shape of its body and its order. Errors are in the other tables."""

from __future__ import annotations

from typing import Any

from app.keboola.client import StorageClient

from .case import TIMESTAMP, Ask, Case, Like, case, column, error, export, succeeds, template

SECRET = "[0-9A-Za-z]{48}"
_E = {
    "id": "e",
    "receiverId": "<there>",
    "name": "E",
    "mapping": {
        "tableId": "in.c-<there>.t",
        "incremental": True,
        "columns": [
            {"primaryKey": True, "name": "id", "type": "id"},
            {"primaryKey": False, "name": "body", "type": "body"},
            {
                "primaryKey": False,
                "name": "value",
                "type": "template",
                "template": {"language": "jsonnet", "content": 'Body("value")'},
            },
        ],
    },
    "conditions": {"count": 1000, "size": "5MB", "time": "5m0s"},
}
_THERE = {
    "id": "<there>",
    "url": Like(f"<address>/v1/import/<project>/<there>/{SECRET}"),
    "name": "there",
    "description": "The one that is there",
    "exports": [_E],
}
_RECEIVER = "/v1/receivers/<name>"
_EXPORTS = f"{_RECEIVER}/exports"


def _made(exports: list[Any], **others: Any) -> dict[str, Any]:
    url = Like(f"<address>/v1/import/<project>/<name>/{SECRET}")
    return {"id": "<name>", "url": url, "name": "<name>", "description": "", "exports": exports, **others}


def _shown(id: str, name: str = "E", **others: Any) -> dict[str, Any]:
    mapping = {"tableId": "in.c-<name>.t", "incremental": True, "columns": [column("body", primaryKey=False)]}
    conditions = {"count": 1000, "size": "5MB", "time": "5m0s"}
    return {"id": id, "receiverId": "<name>", "name": name, "mapping": mapping, "conditions": conditions, **others}


def _task(kind: str, path: str = "<name>") -> dict[str, Any]:
    created = f"{TIMESTAMP}_[0-9A-Za-z]{{5}}"
    return {
        "id": Like(f"{path}/{kind}/{created}"),
        "type": kind,
        "url": Like(f"<address>/v1/tasks/{path}/{kind}/{created}"),
        "status": "processing",
        "isFinished": False,
        "createdAt": Like(TIMESTAMP),
    }


def _table_is_there(storage: StorageClient, name: str) -> None:
    assert list(storage.table_detail(f"in.c-{name}.t").columns) == ["body"]


CASES: list[Case] = [
    case("GET / leads to the index", Ask("GET", "/", None, 301, answer_headers={"Location": "/v1"})),
    case(
        "GET /v1 is the index",
        Ask("GET", "/v1", None, 200, {"api": "buffer", "documentation": "<address>/v1/documentation"}),
    ),
    case(
        "GET /health-check is OK in plain text",
        Ask("GET", "/health-check", None, 200, "OK", answer_headers={"Content-Type": Like("text/plain.*")}),
    ),
    case("GET receiver", Ask("GET", "/v1/receivers/<there>", None, 200, _THERE)),
    case("GET exports", Ask("GET", "/v1/receivers/<there>/exports", None, 200, {"exports": [_E]})),
    case("GET export", Ask("GET", "/v1/receivers/<there>/exports/e", None, 200, _E)),
    case(
        "POST receivers is 202 with a task",
        Ask("POST", "/v1/receivers", {"name": "<name>"}, 202, _task("receiver.create"), task={"status": "success"}),
        Ask("GET", _RECEIVER, None, 200, _made([])),
        Ask("GET", _EXPORTS, None, 200, {"exports": []}),
    ),
    case(
        "POST receivers takes exports, which are shown by id",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "exports": [export("Zoo"), export("Ant"), export("Bee")]}),
        Ask("GET", _RECEIVER, None, 200, _made([_shown("ant", "Ant"), _shown("bee", "Bee"), _shown("zoo", "Zoo")])),
    ),
    case(
        "POST exports is 202 with a task",
        succeeds("POST", "/v1/receivers", {"name": "<name>"}),
        Ask("POST", _EXPORTS, export(), 202, _task("export.create", "<name>/e"), task={"status": "success"}),
        succeeds("POST", _EXPORTS, export("D")),
        Ask("GET", f"{_EXPORTS}/e", None, 200, _shown("e")),
        Ask("GET", _EXPORTS, None, 200, {"exports": [_shown("d", "D"), _shown("e")]}),
        then=_table_is_there,
    ),
    case(
        "PATCH receiver is 200 with the receiver",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "description": "old"}),
        Ask("PATCH", _RECEIVER, {"name": "New"}, 200, _made([], name="New", description="old")),
        Ask("PATCH", _RECEIVER, {"description": "new"}, 200, _made([], name="New", description="new")),
        Ask("PATCH", _RECEIVER, {"description": ""}, 200, _made([], name="New")),
        Ask("PATCH", _RECEIVER, {}, 200, _made([], name="New")),
        Ask("GET", _RECEIVER, None, 200, _made([], name="New")),
    ),
    case(
        "PATCH export is 200 with a task",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "exports": [export()]}),
        Ask(
            *("PATCH", f"{_EXPORTS}/e", {"name": "New"}, 200, _task("export.update", "<name>/e")),
            task={"status": "success"},
        ),
        Ask("GET", f"{_EXPORTS}/e", None, 200, _shown("e", "New")),
    ),
    case(
        "PATCH export replaces the whole mapping",
        succeeds(
            *("POST", "/v1/receivers"),
            {"name": "<name>", "exports": [export(columns=[column("a", primaryKey=True), template("b", "1")])]},
        ),
        succeeds("PATCH", f"{_EXPORTS}/e", {"mapping": {"tableId": "in.c-<name>.u", "columns": [column("c", "ip")]}}),
        Ask(
            *("GET", f"{_EXPORTS}/e", None, 200),
            _shown(
                "e",
                mapping={
                    "tableId": "in.c-<name>.u",
                    "incremental": True,
                    "columns": [column("c", "ip", primaryKey=False)],
                },
            ),
        ),
    ),
    case(
        "DELETE export is 200 and empty",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "exports": [export(), export("F")]}),
        Ask("DELETE", f"{_EXPORTS}/e", None, 200, ""),
        Ask("GET", f"{_EXPORTS}/e", None, 404),
        Ask("GET", _RECEIVER, None, 200, _made([_shown("f", "F")])),
        then=_table_is_there,
    ),
    case(
        "DELETE receiver is 200 and empty, and takes its exports with it",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "exports": [export()]}),
        Ask("DELETE", _RECEIVER, None, 200, ""),
        Ask("GET", _RECEIVER, None, 404),
        Ask("GET", _EXPORTS, None, 404),
        Ask(
            *("DELETE", _RECEIVER, None, 404),
            error(404, "buffer.receiverNotFound", 'Receiver "<name>" not found in the project.'),
        ),
        then=_table_is_there,
    ),
    case(
        "POST tokens/refresh is 200 with the receiver",
        succeeds("POST", "/v1/receivers", {"name": "<name>", "exports": [export()]}),
        Ask("POST", f"{_RECEIVER}/tokens/refresh", None, 200, _made([_shown("e")])),
    ),
    case(
        "POST tokens/refresh of a receiver without exports",
        succeeds("POST", "/v1/receivers", {"name": "<name>"}),
        Ask("POST", f"{_RECEIVER}/tokens/refresh", None, 200, _made([])),
    ),
]
