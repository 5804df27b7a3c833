"""Section 1.7: the task object, at both of its URLs, for success and for error."""

from __future__ import annotations

from typing import Any

from app.keboola.client import StorageClient

from .case import TIMESTAMP, Ask, Case, Json, Like, Whole, case, column, export, refused, succeeds

RECEIVERS, RECEIVER, EXPORTS = "/v1/receivers", "/v1/receivers/<name>", "/v1/receivers/<name>/exports"


def _ended(kind: str, path: str, result: str, **outputs: Json) -> dict[str, Any]:
    """All fields of a task that has succeeded."""
    return {
        "id": Like(rf"{path}/{kind}/{TIMESTAMP}_[0-9A-Za-z]{{5}}"),
        "type": kind,
        "url": Like(rf"<address>/v1/tasks/{path}/{kind}/{TIMESTAMP}_[0-9A-Za-z]{{5}}"),
        "status": "success",
        "isFinished": True,
        "createdAt": Like(TIMESTAMP),
        "finishedAt": Like(TIMESTAMP),
        "duration": Whole(),
        "result": result,
        "error": None,
        "outputs": outputs,
        "warnings": None,
    }


_SHOWN = {
    name: value
    for name, value in _ended("receiver.create", "<name>", "receiver created", receiverId="<name>").items()
    if value is not None
}


def _other_table(storage: StorageClient, name: str) -> None:
    storage.create_bucket("in", name)
    storage.create_table(f"in.c-{name}", "t", ["other"], [])


CASES: list[Case] = [
    case(
        "receiver.create that succeeds",
        succeeds("POST", RECEIVERS, {"name": "<name>"}).with_task(
            _ended("receiver.create", "<name>", "receiver created", receiverId="<name>")
        ),
    ),
    case(
        "export.create and export.update that succeed",
        succeeds("POST", RECEIVERS, {"name": "<name>"}),
        succeeds("POST", EXPORTS, export()).with_task(
            _ended("export.create", "<name>/e", "export created", receiverId="<name>", exportId="e")
        ),
        succeeds("PATCH", f"{EXPORTS}/e", {"name": "F"}).with_task(
            _ended("export.update", "<name>/e", "export updated", receiverId="<name>", exportId="e")
        ),
    ),
    case(
        "task is at its URL, and under its receiver by its id or the rest of it",
        succeeds("POST", RECEIVERS, {"name": "<name>", "exports": [export()]}),
        *(
            Ask("GET", path, None, 200, {**_SHOWN, "id": "<task>", "url": "<address>/v1/tasks/<task>"})
            for path in ("/v1/tasks/<task>", f"{RECEIVER}/tasks/<rest>", f"{RECEIVER}/tasks/<task>")
        ),
    ),
    case(
        "task is not under another receiver",
        succeeds("POST", RECEIVERS, {"name": "<name>"}),
        Ask("GET", "/v1/receivers/<there>/tasks/<rest>", None, 404),
    ),
    case(
        "task that fails has an error, no result and no outputs",
        Ask(
            *("POST", RECEIVERS, {"name": "<name>", "exports": [export()]}, 202),
            task={
                **_ended("receiver.create", "<name>", ""),
                "status": "error",
                "result": None,
                "outputs": None,
                "error": 'columns of the table "in.c-<name>.t" do not match expected ["body"], found ["other"]',
            },
        ),
        Ask("GET", RECEIVER, None, 404),
        given=_other_table,
    ),
    *(
        refused(
            f"task {path} is not known",
            *("GET", f"/v1/{path}", None, 404, "buffer.taskNotFound", f'Task "{shown}" not found in the project.'),
        )
        for path, shown in (
            ("tasks/x", "x"),
            ("tasks/<there>/receiver.create/x", "<there>/receiver.create/x"),
            ("receivers/<there>/tasks/receiver.create/x", "receiver.create/x"),
            ("receivers/nobody/tasks/x", "x"),
        )
    ),
    refused(
        "PATCH whose columns cannot be is refused before a task",
        *("PATCH", "/v1/receivers/<there>/exports/e"),
        {"mapping": {"tableId": "in.c-b.t", "columns": [column("a"), column("a")]}},
        *(400, "buffer.badRequest"),
        'Column name "a" is used more than once; names of columns must be unique.',
    ),
]
