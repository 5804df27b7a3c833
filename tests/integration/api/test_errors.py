"""What the API refuses, request by request: status, name and message. Source: Buffer API, sections 1.1 to 1.8."""

from __future__ import annotations

from typing import Any

import pytest
from buffer_stack import Client, api_client, export_body

from app.local.storage import Emulator
from app.settings import Settings


def _with(**mapping: Any) -> dict[str, Any]:
    body = export_body()
    return {**body, "mapping": {**body["mapping"], **mapping}}


def _columns(*columns: dict[str, Any]) -> dict[str, Any]:
    return _with(columns=list(columns))


_ID = {"name": "id", "type": "id"}
_TOO_LONG = "x" * 41
_BAD_RECEIVERS: list[tuple[str, Any, str, str]] = [
    ("nothing", {}, "buffer.missingField", '"name" is missing from body.'),
    ("name of a wrong type", {"name": 1}, "buffer.decodePayload", "Body.name must be a string but got value 1."),
    (
        "long name",
        {"name": _TOO_LONG},
        "buffer.invalidLength",
        f'Length of body.name must be lesser or equal than 40 but got value "{_TOO_LONG}" (len=41)',
    ),
    (
        "empty name",
        {"name": ""},
        "buffer.invalidLength",
        'Length of body.name must be greater or equal than 1 but got value "" (len=0)',
    ),
    (
        "name without letters",
        {"name": "!!!"},
        "buffer.badRequest",
        'No id can be made from "!!!": it needs at least one letter or digit (a-z, 0-9).',
    ),
    (
        "two things missing",
        {"name": "x", "exports": [{}]},
        "buffer.missingField",
        '"name" is missing from body.exports[0]; "mapping" is missing from body.exports[0]',
    ),
    (
        "two exports with one id",
        {"name": "x", "exports": [export_body("Same"), export_body("same")]},
        "buffer.badRequest",
        'Two exports have the id "same"; an id must be unique in its receiver.',
    ),
    ("an array", [], "buffer.decodePayload", 'Body must be an object but got value "list".'),
]
_BAD_EXPORTS: list[tuple[str, Any, str, str]] = [
    (
        "unknown column type",
        _columns({"name": "c", "type": "path"}),
        "buffer.invalidEnumValue",
        'Value of body.mapping.columns[0].type must be one of "id", "datetime", "ip", "body", "headers", "template" '
        'but got value "path".',
    ),
    (
        "unknown language",
        _columns({"name": "c", "type": "template", "template": {"language": "lua", "content": "1"}}),
        "buffer.invalidEnumValue",
        'Value of body.mapping.columns[0].template.language must be one of "jsonnet" but got value "lua".',
    ),
    (
        "no columns",
        _columns(),
        "buffer.invalidLength",
        "Length of body.mapping.columns must be greater or equal than 1 but got (len=0)",
    ),
    (
        "too many columns",
        _columns(*({"name": f"c{n}", "type": "body"} for n in range(101))),
        "buffer.invalidLength",
        "Length of body.mapping.columns must be lesser or equal than 100 but got (len=101)",
    ),
    (
        "same column twice",
        _columns(_ID, _ID),
        "buffer.badRequest",
        'Column name "id" is used more than once; names of columns must be unique.',
    ),
    (
        "template is missing",
        _columns({"name": "c", "type": "template"}),
        "buffer.badRequest",
        'Column "c" is missing template.',
    ),
    (
        "template does not compile",
        _columns({"name": "c", "type": "template", "template": {"language": "jsonnet", "content": "invalid"}}),
        "buffer.badRequest",
        'Column "c" template is invalid: 1:1-8 Unknown variable: invalid.',
    ),
    (
        "table id of two parts",
        _with(tableId="in.table"),
        "buffer.badRequest",
        'Invalid "tableId" value "in.table": it must be "stage.bucket.table", stage in, out or sys, each name at most '
        '96 characters. For example: "in.c-bucket.table".',
    ),
    (
        "bad size",
        export_body(conditions={"size": "5 apples"}),
        "buffer.badRequest",
        'Invalid conditions: value "5 apples" is not valid buffer size in bytes. Allowed units: B, kB, MB. '
        'For example: "5MB".',
    ),
    (
        "short time",
        export_body(conditions={"time": "29s"}),
        "buffer.badRequest",
        'Invalid conditions: "time" must be 30s or greater.',
    ),
    (
        "large size",
        export_body(conditions={"size": "51MB"}),
        "buffer.badRequest",
        'Invalid conditions: "size" must be 50MB or less.',
    ),
    (
        "several problems at once",
        {**_columns(_ID, _ID), "name": "!", "conditions": {"count": 0}},
        "buffer.badRequest",
        'No id can be made from "!": it needs at least one letter or digit (a-z, 0-9); Column name "id" is used more '
        "than once; names of columns must be unique; body.conditions.count must be greater or equal than 1 but got "
        "value 0.",
    ),
]


@pytest.mark.parametrize(
    ("body", "name", "message"), [case[1:] for case in _BAD_RECEIVERS], ids=[case[0] for case in _BAD_RECEIVERS]
)
async def test_bad_receiver_is_refused(api: Client, body: Any, name: str, message: str) -> None:
    answer = await api.post("/v1/receivers", body)

    assert (answer.status_code, answer.json()) == (400, {"statusCode": 400, "error": name, "message": message})


@pytest.mark.parametrize(
    ("body", "name", "message"), [case[1:] for case in _BAD_EXPORTS], ids=[case[0] for case in _BAD_EXPORTS]
)
async def test_bad_export_is_refused_before_its_receiver_is_looked_up(
    api: Client, body: Any, name: str, message: str
) -> None:
    answer = await api.post("/v1/receivers/nobody/exports", body)

    assert (answer.status_code, answer.json()) == (400, {"statusCode": 400, "error": name, "message": message})


@pytest.mark.parametrize(
    ("content", "name"), [(b'{"name": ', "buffer.decodePayload"), (b"", "buffer.missingPayload")], ids=["cut", "empty"]
)
async def test_body_that_is_no_json_is_refused(api: Client, content: bytes, name: str) -> None:
    answer = await api.http.post("/v1/receivers", content=content, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["error"]) == (400, name)


async def test_errors_are_pretty_and_successes_compact(api: Client) -> None:
    error, success = await api.get("/v1/receivers/nobody"), await api.get("/v1")

    assert error.text == (
        '{\n  "statusCode": 404,\n  "error": "buffer.receiverNotFound",\n'
        '  "message": "Receiver \\"nobody\\" not found in the project."\n}\n'
    )
    assert " " not in success.text


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v1/receivers/nobody", "buffer.receiverNotFound"),
        ("DELETE", "/v1/receivers/nobody", "buffer.receiverNotFound"),
        ("GET", "/v1/receivers/nobody/exports", "buffer.receiverNotFound"),
        ("GET", "/v1/receivers/nobody/exports/e", "buffer.receiverNotFound"),
        ("DELETE", "/v1/receivers/nobody/exports/e", "buffer.receiverNotFound"),
        ("GET", "/v1/tasks/a/b/c", "buffer.taskNotFound"),
        ("GET", "/v1/receivers/a/tasks/b/c", "buffer.taskNotFound"),
        ("GET", "/foo/bar", "buffer.endpointNotFound"),
    ],
)
async def test_what_is_not_there_is_404(api: Client, method: str, path: str, name: str) -> None:
    answer = await api.http.request(method, path)

    assert (answer.status_code, answer.json()["error"]) == (404, name)


async def test_export_for_an_unknown_receiver_is_404_before_any_task(api: Client) -> None:
    answer = await api.post("/v1/receivers/nobody/exports", export_body())

    assert (answer.status_code, answer.json()["error"]) == (404, "buffer.receiverNotFound")


async def test_unknown_path_and_method_are_named(api: Client) -> None:
    path, method = await api.get("/foo/bar"), await api.http.put("/v1/receivers")

    assert path.json()["message"] == 'No endpoint found for path "/foo/bar".'
    assert (method.status_code, method.json()["error"]) == (405, "buffer.methodNotAllowed")


async def test_what_exists_already_is_409(api: Client, name: str) -> None:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})

    receiver = await api.post("/v1/receivers", {"id": f" {name}!", "name": "Another"})
    export = await api.post(f"/v1/receivers/{name}/exports", export_body("E", f"in.c-{name}.t"))

    assert (receiver.status_code, receiver.json()["error"]) == (409, "buffer.receiverAlreadyExists")
    assert receiver.json()["message"] == f'Receiver "{name}" already exists in the project.'
    assert (export.status_code, export.json()["error"]) == (409, "buffer.exportAlreadyExists")
    assert export.json()["message"] == 'Export "e" already exists in the receiver.'


async def test_full_load_shares_its_table_with_no_other_export(api: Client, name: str) -> None:
    whole = export_body("whole", f"in.c-{name}.t")
    whole["mapping"]["incremental"] = False
    await api.create("/v1/receivers", {"name": name, "exports": [whole]})

    answer = await api.post(f"/v1/receivers/{name}/exports", export_body("second", f"in.c-{name}.t"))

    assert (answer.status_code, answer.json()["error"]) == (409, "buffer.tableInUse")
    assert f'"{name}/whole"' in answer.json()["message"]


async def test_limits_are_409(api: Client, settings: Settings, emulator: Emulator, name: str) -> None:
    await api.create("/v1/receivers", {"name": name})
    limited = settings.model_copy(update={"max_receivers": 1, "max_exports": 0})

    async with api_client(limited, emulator.master_token) as strict:
        receiver = await strict.post("/v1/receivers", {"name": f"{name}-2"})
        export = await strict.post(f"/v1/receivers/{name}/exports", export_body())

    assert (receiver.status_code, receiver.json()["error"]) == (409, "buffer.receiverCountLimitReached")
    assert receiver.json()["message"] == "Receiver count limit reached in the project, the maximum is 1."
    assert (export.status_code, export.json()["error"]) == (409, "buffer.exportCountLimitReached")


async def test_twenty_exports_may_come_with_their_receiver_and_no_more(api: Client, name: str) -> None:
    exports = [export_body(f"e{number}", f"in.c-{name}.t") for number in range(21)]

    refused = await api.post("/v1/receivers", {"name": name, "exports": exports})
    await api.create("/v1/receivers", {"name": name, "exports": exports[:20]})

    assert (refused.status_code, refused.json()["error"]) == (409, "buffer.exportCountLimitReached")
    assert len((await api.get(f"/v1/receivers/{name}")).json()["exports"]) == 20


async def test_body_above_the_limit_is_413(api: Client, settings: Settings) -> None:
    answer = await api.post("/v1/receivers", {"name": "x", "unknown": "x" * settings.max_body_bytes})

    assert (answer.status_code, answer.json()["error"]) == (413, "buffer.payloadTooLarge")
