"""Past events are mapped again, into another table or the same, through `kill -9` of all that takes part, each once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import httpx

BUCKET = "in.c-replays"
EVENTS = 3000
LATER = '{"n":-1}'
"""An event that comes after the time that is replayed."""
PATH = "/v1/receivers/replays/exports/e"
KEYED_PATH = "/v1/receivers/replays/exports/keyed"
FAILING = 'if Body("n") % 10 == 0 then error "no" else 1'
"""A template that fails for every tenth event."""


def export(template: str) -> dict[str, Any]:
    columns = [
        {"name": "body", "type": "body"},
        {"name": "value", "type": "template", "template": {"language": "jsonnet", "content": template}},
    ]
    return {
        "id": "e",
        "name": "e",
        "mapping": {"tableId": f"{BUCKET}.live", "columns": columns},
        "conditions": {"count": 1000, "size": "50MB", "time": "1s"},
    }


KEYED = {
    "id": "keyed",
    "name": "keyed",
    "mapping": {
        "tableId": f"{BUCKET}.keyed",
        "columns": [{"name": "id", "type": "id", "primaryKey": True}, {"name": "body", "type": "body"}],
    },
    "conditions": {"count": 1000, "size": "50MB", "time": "1s"},
}
"""An export whose table has a primary key."""


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


async def until_total(system: Any, table: str, rows: int) -> None:
    async def is_whole() -> bool:
        return counted(system, table).total() >= rows

    await system.until(is_whole, f"{rows} rows in {table}")


async def until_counted(system: Any, table: str, rows: Counter[str]) -> None:
    """Wait until the table has these rows and no others: also those that nothing else waits for."""

    async def has_them() -> bool:
        return counted(system, table) == rows

    await system.until(has_them, f"{rows.total()} rows in {table}, each as often as it should be")


async def until_tokens(system: Any, count: int) -> None:
    """Wait until the tokens of an earlier mapping are gone, too: that has to be found out to be over."""

    async def are_gone() -> bool:
        return system_tokens(system) == count

    await system.until(are_gone, f"{count} tokens")


async def until_letters(system: Any, count: int) -> None:
    async def are_there() -> bool:
        found = 0
        query = ""
        while True:
            answer = (await system.call("GET", f"{PATH}/dead-letters{query}")).json()
            found += len(answer["deadLetters"])
            if "after" not in answer["page"]:
                return found >= count
            query = f"?after={answer['page']['after']}"

    await system.until(are_there, f"{count} dead letters")


async def newest(system: Any, path: str = PATH) -> dict[str, Any]:
    found: dict[str, Any] = (await system.call("GET", f"{path}/replays")).json()["replays"][0]
    return found


async def end_of(system: Any, replay: dict[str, Any], path: str = PATH) -> dict[str, Any]:
    """The replay once it is over."""
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        found.update((await system.call("GET", f"{path}/replays/{replay['id']}")).json())
        return "finishedAt" in found

    await system.until(is_over, "the end of a replay")
    return found


def command(system: Any, *arguments: str) -> dict[str, Any]:
    """What `streams` prints as JSON."""
    environment = {**os.environ, **system.environment, "STREAMS_STORAGE_TOKEN": system.token}
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def kill_the_way(system: Any) -> None:
    """The mapper goes on; no replay is over as long as there is no sink."""
    for name in ("mapper", "sink"):
        system.kill(name)
    system.start("mapper")


def system_tokens(system: Any) -> int:
    """Storage tokens of the receiver: those of replays that are finished are gone."""
    with system.storage_client() as storage:
        return len([token for token in storage.list_tokens() if "for Receiver replays" in token.description])


async def test_replay_and_requeue_are_exactly_once_through_kills(system: Any) -> None:
    await system.ready()
    receiver = await system.create_receiver({"id": "replays", "name": "r", "exports": [export(FAILING), KEYED]})
    bodies = [f'{{"n":{number}}}' for number in range(EVENTS)]
    bad = Counter(bodies[::10])
    begun = now()
    await send(receiver["url"], bodies)
    await until_total(system, "live", EVENTS - len(bad))
    await until_total(system, "keyed", EVENTS)
    await until_letters(system, len(bad))
    ended = now()
    await send(receiver["url"], [LATER])
    await system.succeed("PATCH", PATH, export("1"))

    wanted = {"from": begun, "to": ended, "tableId": f"{BUCKET}.again"}
    tried = (await system.call("POST", f"{PATH}/replay?dryRun=1", wanted)).json()
    await system.succeed("POST", f"{PATH}/replay", wanted)
    again = await newest(system)
    kill_the_way(system)
    await system.succeed("POST", f"{PATH}/replay", wanted | {"tableId": f"{BUCKET}.part"})
    part = await newest(system)
    await asyncio.to_thread(command, system, "replay", "cancel", "replays/e", part["id"], "--yes", "--json")
    system.revive()
    replay, cancelled = await end_of(system, again), await end_of(system, part)

    assert (tried["offsets"], tried["tried"], tried["rows"], tried["failures"]) == (EVENTS, 1000, 1000, 0)
    assert not tried["isWhole"]
    assert 0 < tried["mended"] <= len(bad)
    assert counted(system, "again") == Counter(bodies)
    assert (replay["kind"], replay["rows"], replay["failures"], replay["offsets"]) == ("replay", EVENTS, 0, EVENTS)
    assert counted(system, "live") - Counter([LATER]) == Counter(bodies) - bad
    assert (cancelled["state"], cancelled["rows"] + cancelled["skipped"]) == ("cancelled", EVENTS)
    assert counted(system, "part").total() == cancelled["rows"]
    assert counted(system, "part") <= Counter(bodies)

    tried = (await system.call("POST", f"{PATH}/dead-letters/requeue?dryRun=1", {})).json()
    await system.succeed("POST", f"{PATH}/dead-letters/requeue", {"reason": "template.error"})
    requeue = await end_of(system, await newest(system))

    assert (tried["tried"], tried["rows"], tried["isWhole"]) == (len(bad), len(bad), True)
    assert (requeue["kind"], requeue["rows"], requeue["failures"]) == ("requeue", len(bad), 0)
    await until_counted(system, "live", Counter(bodies) + Counter([LATER]))

    once_more = await asyncio.to_thread(command, system, "dead-letters", "requeue", "replays/e", "--yes", "--json")

    assert (once_more["rows"], once_more["failures"]) == (0, 0)
    assert once_more["id"] != requeue["id"]
    await until_tokens(system, 2)

    await system.succeed("POST", f"{PATH}/replay", {"from": begun, "to": ended})
    await system.succeed("POST", f"{KEYED_PATH}/replay", {"from": begun, "to": ended})
    same = await end_of(system, await newest(system))
    keyed = await end_of(system, await newest(system, KEYED_PATH), KEYED_PATH)

    assert (same["rows"], same["tableId"]) == (EVENTS, f"{BUCKET}.live")
    assert counted(system, "live") == Counter(bodies * 2) + Counter([LATER])
    assert (keyed["rows"], keyed["tableId"]) == (EVENTS, f"{BUCKET}.keyed")
    assert counted(system, "keyed") == Counter(bodies) + Counter([LATER])
