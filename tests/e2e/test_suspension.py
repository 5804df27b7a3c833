"""An export is suspended and resumed through `kill -9` of all that takes part: every event is in the table once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest

TABLE = "in.c-suspended.t"
PATH = "/v1/receivers/suspended/exports/e"
EVENTS = 400
"""Sent at each stage."""
ENDLESS = "std.foldl(function(a, x) std.foldl(function(b, y) b + y, std.range(1, 10000), a), std.range(1, 10000), 0)"
"""A template that does not come to an end in any time that it may have."""


def export(value: str) -> dict[str, Any]:
    columns = [
        {"name": "body", "type": "body"},
        {"name": "value", "type": "template", "rawString": True, "template": {"language": "jsonnet", "content": value}},
    ]
    return {
        "id": "e",
        "name": "e",
        "mapping": {"tableId": TABLE, "columns": columns},
        "conditions": {"count": 100, "size": "50MB", "time": "1s"},
    }


def rows(system: Any) -> Counter[tuple[str, str]]:
    """(stage, value) of each row; a row that is there twice counts twice."""
    try:
        found = system.storage.sql('select body, value from "in.c-suspended".t')
    except ValueError:
        return Counter()
    distinct = Counter((json.loads(body)["stage"], value) for body, value in set(map(tuple, found)))
    assert distinct.total() == len(found), "a row is there twice"
    return distinct


async def send(url: str, stage: str) -> None:
    lines = "\n".join(json.dumps({"stage": stage, "n": number}) for number in range(EVENTS))
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.post(url, content=lines, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text


async def until_rows(system: Any, wanted: Counter[tuple[str, str]]) -> None:
    async def are_there() -> bool:
        return rows(system) >= wanted

    await system.until(are_there, f"{wanted.total()} rows")


def kill_the_way(system: Any) -> None:
    for name in ("mapper", "sink"):
        system.kill(name)
    system.revive()


@pytest.mark.long
async def test_what_waits_while_an_export_is_suspended_is_mapped_once_when_it_is_resumed(system: Any) -> None:
    await system.ready()
    receiver = await system.create_receiver({"id": "suspended", "name": "s", "exports": [export('"old"')]})
    await send(receiver["url"], "before")

    await system.succeed("POST", f"{PATH}/pause", {})
    await send(receiver["url"], "meanwhile")
    kill_the_way(system)
    await until_rows(system, Counter({("before", "old"): EVENTS}))
    shown = (await system.call("GET", PATH)).json()["suspension"]
    refused = await system.call("POST", f"{PATH}/pause", {})
    kept = await system.call("DELETE", PATH)
    await system.succeed("PATCH", PATH, export('"new"'))
    await send(receiver["url"], "mended")
    before = rows(system)
    await system.succeed("POST", f"{PATH}/resume", {})
    kill_the_way(system)
    await send(receiver["url"], "after")
    expected = Counter({("before", "old"): EVENTS})
    expected.update({(stage, "new"): EVENTS for stage in ("meanwhile", "mended", "after")})
    await until_rows(system, expected)
    again = await system.call("POST", f"{PATH}/resume", {})

    assert before == Counter({("before", "old"): EVENTS})
    assert rows(system) == expected
    assert shown["state"] == "suspended"
    assert (refused.status_code, refused.json()["error"]) == (409, "buffer.exportSuspended")
    assert (kept.status_code, kept.json()["error"]) == (409, "buffer.exportSuspended")
    assert (again.status_code, again.json()["error"]) == (409, "buffer.exportNotSuspended")
    assert "suspension" not in (await system.call("GET", PATH)).json()


@pytest.mark.long
async def test_export_whose_template_keeps_timing_out_waits_by_itself(system: Any) -> None:
    system.environment["STREAMS_SUSPEND_RESTING_SECONDS"] = "1"
    await system.ready()
    kill_the_way(system)
    receiver = await system.create_receiver({"id": "resting", "name": "r", "exports": [export(ENDLESS)]})
    path = "/v1/receivers/resting/exports/e"
    shown: dict[str, Any] = {}

    async def is_suspended() -> bool:
        await send(receiver["url"], "resting")
        shown.update((await system.call("GET", path)).json())
        return shown.get("suspension", {}).get("state") == "suspended"

    await system.until(is_suspended, "a suspended export", seconds=180)

    assert "rested" in shown["suspension"]["reason"]
