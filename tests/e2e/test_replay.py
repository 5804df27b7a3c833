"""Past events are mapped again, into another table, through `kill -9` of all that takes part, each exactly once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx

BUCKET = "in.c-replays"
EVENTS = 3000
EXPORT = {
    "id": "e",
    "name": "e",
    "mapping": {"tableId": f"{BUCKET}.live", "columns": [{"name": "body", "type": "body"}]},
    "conditions": {"count": 1000, "size": "50MB", "time": "1s"},
}


def counted(system: Any, table: str) -> Counter[str]:
    try:
        return Counter(body for (body,) in system.storage.sql(f'select body from "{BUCKET}"."{table}"'))
    except ValueError:
        return Counter()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


async def send(url: str, bodies: list[str]) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        for start in range(0, len(bodies), 500):
            lines = "\n".join(bodies[start : start + 500])
            answer = await client.post(url, content=lines, headers={"Content-Type": "application/x-ndjson"})
            assert answer.status_code == 200, answer.text


async def finished(system: Any, path: str) -> dict[str, Any]:
    """The newest replay, once it is finished."""
    found: dict[str, Any] = {}

    async def is_finished() -> bool:
        answer = await system.call("GET", f"{path}/replays")
        replays = answer.json().get("replays", []) if answer.status_code == 200 else []
        found.update(replays[0] if replays else {})
        return found.get("state") == "finished"

    await system.until(is_finished, "a finished replay")
    return found


async def test_replay_into_another_table_is_exactly_once_through_kills(system: Any) -> None:
    await system.ready()
    receiver = await system.create_receiver({"id": "replays", "name": "r", "exports": [EXPORT]})
    path = "/v1/receivers/replays/exports/e"
    bodies = [f'{{"n":{number}}}' for number in range(EVENTS)]
    begun = now()
    await send(receiver["url"], bodies)

    async def live_is_whole() -> bool:
        return counted(system, "live").total() >= EVENTS

    await system.until(live_is_whole, "events in the table")
    ended = now()
    await send(receiver["url"], ['{"n":"later"}'])

    await system.succeed("POST", f"{path}/replay", {"from": begun, "to": ended, "tableId": f"{BUCKET}.again"})
    for name in ("mapper", "sink"):
        system.kill(name)
    system.revive()
    replay = await finished(system, path)

    assert counted(system, "again") == Counter(bodies)
    assert (replay["rows"], replay["failures"], replay["offsets"]) == (EVENTS, 0, EVENTS)
    assert counted(system, "live") - Counter(['{"n":"later"}']) == Counter(bodies)
