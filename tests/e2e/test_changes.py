"""Under load and `kill -9`: a mapping changes, tokens are refreshed, a receiver is deleted and made again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

BUCKET = "in.c-changes"
LONG = {"count": 1_000_000, "size": "50MB", "time": "24h"}
"""Windows that no condition closes in a test's time."""


def export(table: str, conditions: dict[str, Any]) -> dict[str, Any]:
    columns = [{"name": "body", "type": "body"}, {"name": table, "type": "ip"}]
    return {
        "id": "e",
        "name": "e",
        "mapping": {"tableId": f"{BUCKET}.{table}", "columns": columns},
        "conditions": conditions,
    }


class Sender:
    """Sends numbered events; `sent` counts those that were accepted."""

    def __init__(self, url: str) -> None:
        self.url, self.sent = url, 0

    async def send(self, client: httpx.AsyncClient, count: int = 1) -> None:
        for _ in range(count):
            answer = await client.post(self.url, content=f'{{"n":{self.sent}}}')
            assert answer.status_code == 200, answer.text
            self.sent += 1

    def more(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Whether so many events more than now have been accepted."""
        enough = self.sent + count

        async def reached() -> bool:
            return self.sent >= enough

        return reached

    @asynccontextmanager
    async def under_load(self) -> AsyncIterator[None]:
        """Events all the time."""
        stop = asyncio.Event()

        async def load() -> None:
            async with httpx.AsyncClient(timeout=30) as client:
                while not stop.is_set():
                    await self.send(client)

        async with asyncio.TaskGroup() as group:
            group.create_task(load())
            try:
                yield
            finally:
                stop.set()


def numbers(system: Any, table: str) -> Counter[int]:
    try:
        rows = system.storage.sql(f'select body from "{BUCKET}"."{table}"')
    except ValueError:
        return Counter()
    return Counter(int(body.removeprefix('{"n":').removesuffix("}")) for (body,) in rows)


def tokens(system: Any) -> list[str]:
    with system.storage_client() as storage:
        return [token.id for token in storage.list_tokens() if "for Receiver changes" in token.description]


def kill_all_but_the_gateway(system: Any) -> None:
    for name in ("control", "mapper", "sink"):
        system.kill(name)
    system.revive()


@pytest.mark.long
async def test_what_changes_under_load_loses_and_doubles_nothing(system: Any) -> None:
    await system.ready()
    receiver = await system.create_receiver({"id": "changes", "name": "c", "exports": [export("first", LONG)]})
    sender = Sender(receiver["url"])
    path = "/v1/receivers/changes"

    async with sender.under_load():
        await system.until(sender.more(100), "events are accepted all the time")
        await system.succeed("PATCH", f"{path}/exports/e", export("second", LONG))
        after_the_switch = sender.sent + 1  # one may be on its way
        kill_all_but_the_gateway(system)
        refreshed = await system.call("POST", f"{path}/tokens/refresh")
        await system.until(sender.more(100), "events are accepted all the time")
    assert refreshed.status_code == 200

    async def first_is_whole() -> bool:
        return len(tokens(system)) == 1

    await system.until(first_is_whole, "the first mapping's rows are in their table and its token is gone")
    assert numbers(system, "second") == Counter()
    assert max(numbers(system, "first")) < after_the_switch

    deleted = await system.call("DELETE", path)
    kill_all_but_the_gateway(system)
    assert deleted.status_code == 200
    async with httpx.AsyncClient() as client:
        assert (await client.post(receiver["url"], content="{}")).status_code == 404
    again = await system.create_receiver(
        {"id": "changes", "name": "c", "exports": [export("third", LONG | {"count": 10})]}
    )
    new = Sender(again["url"])
    async with httpx.AsyncClient(timeout=30) as client:
        await new.send(client, 10)

    async def all_arrived() -> bool:
        counts = [sum(numbers(system, table).values()) for table in ("first", "second", "third")]
        return counts[0] + counts[1] >= sender.sent and counts[2] >= 10 and len(tokens(system)) == 1

    await system.until(all_arrived, "everything is in its table, and the drained export's token is gone")
    assert numbers(system, "first") + numbers(system, "second") == Counter(range(sender.sent))
    assert numbers(system, "third") == Counter(range(10))
