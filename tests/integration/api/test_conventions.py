"""What holds for every endpoint, beside the tables of `conformance/rules`: ids, the memory for tokens, warnings."""

from __future__ import annotations

import re

import pytest
from buffer_stack import Client, api_client, export_body

from app.local.storage import Emulator
from app.settings import Settings


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1"), ("GET", "/nothing"), ("OPTIONS", "/v1/receivers")])
async def test_every_answer_has_a_request_id_of_its_own(api: Client, method: str, path: str) -> None:
    ids = {(await api.http.request(method, path)).headers["X-Request-Id"] for _ in range(3)}

    assert len(ids) == 3
    assert all(re.fullmatch(r"\w{15}", one) for one in ids)


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
