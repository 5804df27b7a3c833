"""Bodies and paths that no client means to send."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

COLUMN = {"name": "a", "type": "ip"}


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


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "exports": [1] * 100},
        {"name": "x", "exports": [{"name": "", "mapping": {"tableId": "", "columns": [{}] * 100}}] * 100},
        {
            "name": "x",
            "exports": [{"name": "?", "mapping": {"tableId": "", "columns": [COLUMN]}}] * 99,
        },
    ],
    ids=["exports", "columns", "ids and tables"],
)
async def test_of_many_problems_the_first_are_told(api: FastAPI, body: dict[str, Any]) -> None:
    error = await refusal(api, "POST", "/v1/receivers", json.dumps(body).encode())

    assert error["statusCode"] == 400
    assert error["message"].count("; ") == 20
    assert error["message"].endswith("; and more.")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "x", "exports": [1] * 101}, "body.exports"),
        (
            {"name": "x", "exports": [{"name": "e", "mapping": {"tableId": "t", "columns": [1] * 101}}]},
            "body.exports[0].mapping.columns",
        ),
    ],
    ids=["exports", "columns"],
)
async def test_list_that_is_too_long_is_not_looked_into(api: FastAPI, body: dict[str, Any], path: str) -> None:
    error = await refusal(api, "POST", "/v1/receivers", json.dumps(body).encode())

    assert error["message"] == f"Length of {path} must be lesser or equal than 100 but got (len=101)"


async def test_task_id_that_is_too_long_is_named_as_in_the_documentation(api: FastAPI) -> None:
    error = await refusal(api, "GET", f"/v1/tasks/{'x' * 501}")

    assert error["error"] == "buffer.invalidLength"
    assert error["message"].startswith("Length of path.taskId must be lesser or equal than 500")
