"""Headers, authentication, warnings and tasks' URLs: what holds for every endpoint."""

from __future__ import annotations

import re

import pytest
from buffer_stack import Client, api_client, export_body

from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.settings import Settings


async def test_root_leads_to_the_index(api: Client, settings: Settings) -> None:
    root, index = await api.get("/"), await api.get("/v1")

    assert (root.status_code, root.headers["Location"]) == (301, "/v1")
    assert index.json() == {"api": "buffer", "documentation": f"{settings.public_address}/v1/documentation"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1"), ("GET", "/nothing"), ("OPTIONS", "/v1/receivers")])
async def test_every_answer_has_a_request_id_of_its_own(api: Client, method: str, path: str) -> None:
    ids = {(await api.http.request(method, path)).headers["X-Request-Id"] for _ in range(3)}

    assert len(ids) == 3
    assert all(re.fullmatch(r"\w{15}", one) for one in ids)


async def test_browsers_of_any_origin_may_call(api: Client) -> None:
    asked = await api.http.options(
        "/v1/receivers",
        headers={
            "Origin": "https://example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "X-StorageApi-Token, Content-Type",
        },
    )
    called = await api.http.get("/v1/receivers/nobody", headers={"Origin": "https://example.com"})

    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    assert "DELETE" in asked.headers["Access-Control-Allow-Methods"]
    assert called.headers["Access-Control-Allow-Origin"] == "*"
    assert (await api.http.options("/any/path")).status_code == 204


async def test_missing_token_is_400_after_the_body(api: Client) -> None:
    del api.http.headers["X-StorageApi-Token"]

    bad = await api.post("/v1/receivers", {})
    good = await api.post("/v1/receivers", {"name": "x"})
    listed = await api.get("/v1/receivers")

    assert bad.json()["message"] == '"name" is missing from body.'
    for answer in (good, listed):
        assert answer.status_code == 400
        assert answer.json()["error"] == "buffer.missingField"
        assert answer.json()["message"] == '"X-StorageApi-Token" is missing from header.'


async def test_unknown_token_is_refused_in_storages_words(api: Client) -> None:
    api.http.headers["X-StorageApi-Token"] = "1234-99-wrong"

    answer = await api.get("/v1/receivers")

    assert answer.json() == {"statusCode": 401, "error": "storage.tokenInvalid", "message": "Invalid access token."}


async def test_token_that_is_no_master_token_is_refused(api: Client, emulator: Emulator) -> None:
    with StorageClient(emulator.url, emulator.master_token) as storage:
        api.http.headers["X-StorageApi-Token"] = storage.create_token("limited", {}).token

    answer = await api.get("/v1/receivers")

    assert answer.json() == {
        "statusCode": 401,
        "error": "buffer.masterTokenRequired",
        "message": "Please provide a master token of a project administrator.",
    }


async def test_scheme_before_the_token_is_ignored(api: Client, emulator: Emulator) -> None:
    api.http.headers["X-StorageApi-Token"] = f"Bearer {emulator.master_token}"

    assert (await api.get("/v1/receivers")).status_code == 200


async def test_verified_token_is_remembered(settings: Settings, emulator: Emulator) -> None:
    async with api_client(settings, emulator.master_token) as client:
        assert (await client.get("/v1/receivers")).status_code == 200
        emulator.fault("status", path="tokens/verify", status=503)
        remembered = await client.get("/v1/receivers")
    async with api_client(settings, emulator.master_token) as client:
        asked = await client.get("/v1/receivers")
    emulator.clear_faults()

    assert remembered.status_code == 200
    assert (asked.status_code, asked.json()["error"]) == (503, "storage.unavailable")
    assert asked.json()["exceptionId"] == f"keboola-buffer-{asked.headers['X-Request-Id']}"


async def test_unknown_fields_are_accepted_and_named(api: Client, name: str) -> None:
    export = {**export_body("e", f"in.c-{name}.t"), "exportId": "x"}
    export["mapping"]["columns"][0]["template"] = {"language": "jsonnet", "content": "1"}

    answer = await api.post("/v1/receivers", {"name": name, "colour": 1, "exports": [export]})

    assert answer.json()["warnings"] == [
        'Unknown field "colour" in body is ignored.',
        'Unknown field "exportId" in body.exports[0] is ignored.',
        'Field "template" in body.exports[0].mapping.columns[0] is ignored, because the type of the column is "id".',
    ]
    task = await api.finished(answer)
    assert (task["status"], "warnings" in task) == ("success", False)


async def test_task_is_at_both_of_its_urls(api: Client, name: str) -> None:
    task = await api.create("/v1/receivers", {"name": name})
    rest = task["id"].removeprefix(f"{name}/")

    for path in (f"/v1/tasks/{task['id']}", f"/v1/receivers/{name}/tasks/{rest}"):
        assert (await api.get(path)).json() == task
    assert (await api.get(f"/v1/receivers/{name}/tasks/{task['id']}")).json() == task


async def test_conditions_that_are_not_given_take_their_defaults(api: Client, name: str) -> None:
    export = export_body("e", f"in.c-{name}.t", conditions={"time": "90s", "size": "100kB"})
    await api.create("/v1/receivers", {"name": name, "exports": [export]})

    conditions = (await api.get(f"/v1/receivers/{name}/exports/e")).json()["conditions"]

    assert conditions == {"count": 1000, "size": "100KB", "time": "1m30s"}


async def test_ids_are_normalised(api: Client, name: str) -> None:
    body = {"id": f"  {name}|||Weird Id ", "name": "n", "exports": []}

    task = await api.create("/v1/receivers", body)

    assert task["outputs"]["receiverId"] == f"{name}-weird-id"
