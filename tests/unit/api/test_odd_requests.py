"""Bodies and paths that no client means to send."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI


async def refusal(api: FastAPI, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
    headers = {"X-StorageApi-Token": "1234-1-token", "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test", headers=headers) as client:
        answer = await client.request(method, path, content=body)
    error: dict[str, Any] = answer.json()
    assert error["statusCode"] == answer.status_code
    return error


def export(column: str = "c", table: str = "in.c-b.t", **conditions: object) -> bytes:
    mapping = {"tableId": table, "columns": [{"name": column, "type": "body"}]}
    return json.dumps({"name": "Export", "mapping": mapping, "conditions": conditions}).encode()


@pytest.mark.parametrize(
    "body",
    [export(table="\ud800"), export(size="\ud800"), export(time="\ud800"), export(column="\ud800")],
    ids=["table", "size", "time", "column"],
)
async def test_half_a_surrogate_pair_is_refused(api: FastAPI, body: bytes) -> None:
    error = await refusal(api, "POST", "/v1/receivers/r/exports", body)

    assert (error["statusCode"], error["error"]) == (400, "buffer.badRequest")


@pytest.mark.parametrize("body", [b'{"name": "\xff"}', b"[" * 100_000], ids=["not UTF-8", "nested without end"])
async def test_body_that_cannot_be_read_is_refused(api: FastAPI, body: bytes) -> None:
    error = await refusal(api, "POST", "/v1/receivers", body)

    assert (error["statusCode"], error["error"]) == (400, "buffer.decodePayload")


@pytest.mark.parametrize("count", ["1e400", "NaN", "-Infinity", "9" * 5000, "1000.5"])
async def test_count_that_is_no_integer_is_refused(api: FastAPI, count: str) -> None:
    body = export(count=0).replace(b'"count": 0', f'"count": {count}'.encode())

    error = await refusal(api, "POST", "/v1/receivers/r/exports", body)

    assert error["statusCode"] == 400


async def test_integer_may_be_written_with_a_point(api: FastAPI) -> None:
    error = await refusal(api, "POST", "/v1/receivers/r/exports", export(count=0.0))

    assert error["message"] == "Body.conditions.count must be greater or equal than 1 but got value 0."


async def test_task_id_that_is_too_long_is_named_as_in_the_documentation(api: FastAPI) -> None:
    error = await refusal(api, "GET", f"/v1/tasks/{'x' * 501}")

    assert error["error"] == "buffer.invalidLength"
    assert error["message"].startswith("Length of path.taskId must be lesser or equal than 500")
