"""The README's own commands, run as they stand there (with this test's addresses), and on the same processes what
docs/kafka.md says of existing topics.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from shop import Shop

from app.kafka.view import ControlView

ROOT = Path(__file__).resolve().parents[2]


def blocks(heading: str) -> list[str]:
    """The shell blocks of a section of the README."""
    section = (ROOT / "README.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)


def run(system: Any, script: str, folder: Path = ROOT) -> str:
    """What the block prints, with bash stopping at its first error. A block that writes files gets a folder."""
    script = script.replace("http://127.0.0.1:8000", system.url).replace(".venv/bin/python", sys.executable)
    script = script.replace(".venv/bin/streams", f"{sys.executable} -m app")
    port = system.storage.url.rpartition(":")[2]
    environment = {
        **os.environ,
        **system.environment,
        "STREAMS_STORAGE_PORT": port,
        "STREAMS_KAFKA_PORT": system.kafka.rpartition(":")[2],
        "STREAMS_LOCAL_DIR": str(system.folder),
        "STREAMS_STORAGE_TOKEN": system.token,  # of a stack that `make run` has started it is known
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


async def test_an_event_of_ones_own_gets_into_its_table(shared_system: Any) -> None:
    system = shared_system
    create, send, query, complain = blocks("Send your own events")
    await system.ready()

    task = await asyncio.to_thread(run, system, create)
    assert '"receiver.create"' in task.replace(" ", "")
    answers = await asyncio.to_thread(run, system, send)
    async with httpx.AsyncClient(base_url=system.url, headers={"X-StorageApi-Token": system.token}) as client:
        url = (await client.get("/v1/receivers/clicks")).json()["url"]
        lines = {"Content-Type": "application/x-ndjson"}
        assert (
            await client.post(url, content=b'{"page": "/line"}\n{"no": "page"}\n', headers=lines)
        ).status_code == 200

    async def arrived() -> bool:
        await asyncio.sleep(1)  # each look is a process of its own
        found = await asyncio.to_thread(run, system, query)
        assert "/health" not in found, "the filter has let it through"
        return all(page in found for page in ("/pricing", "/a", "/b", "/line", '"/a from 127.0.0.1"'))

    async def complained() -> bool:
        await asyncio.sleep(1)
        found = await asyncio.to_thread(run, system, complain)
        return "1 dead letter of clicks/all" in found and "template.error" in found

    async def show(options: str) -> str:
        listed = await asyncio.to_thread(run, system, f"{complain.strip()} --json")
        (letter,) = json.loads(listed)["deadLetters"]
        command = f".venv/bin/streams dead-letters show clicks/all {letter['id']} {options}"
        return await asyncio.to_thread(run, system, command)

    assert answers.count("HTTP/1.1 200 OK") == 2
    await system.until(arrived, "the events are in the table")
    await system.until(complained, "the event without a page is a dead letter")
    assert await show("--body") == '{"no": "page"}'


async def test_receiver_in_a_file_is_applied_changed_and_deleted(shared_system: Any, tmp_path: Path) -> None:
    system = shared_system
    first, second = blocks("Keep receivers in files")
    await system.ready()

    applied = await asyncio.to_thread(run, system, first, tmp_path)
    changed = await asyncio.to_thread(run, system, second, tmp_path)

    assert "receiver pages created" in applied
    assert "HTTP/1.1 200 OK" in applied
    assert 'conditions.time: "10s" → "1m0s"' in changed
    assert "receiver pages deleted" in changed


async def test_records_of_existing_topics_are_rows_each_once_and_the_topics_stay_as_they_are(
    shared_system: Any,
) -> None:
    """A topic that gets another partition, and a pattern of two topics that gets a third one."""
    system, shop = shared_system, Shop(shared_system.kafka, shared_system.prefix)
    await system.ready()
    shop.make("orders", 2)
    shop.make("shop.a", 1)
    shop.make("shop.b", 2)
    shop.send("orders", 30, 1, "orders")
    shop.send("shop.a", 30, 0, "shop")
    receivers = {"orders": {"topic": shop.name("orders")}, "shop": {"topics": shop.name("shop.*")}}
    for name, source in receivers.items():
        body = {"id": name, "name": name, "source": {**source, "from": "earliest"}, "exports": [bound_export(name)]}
        await system.create_receiver(body)

    def arrived(table: str) -> Callable[[], Awaitable[bool]]:
        async def all_of_it() -> bool:
            return rows_of(system, table).total() >= shop.sent[table].total()

        return all_of_it

    shop.send("orders", 20, 0, "orders")
    shop.send("shop.b", 20, 1, "shop")
    for name in receivers:
        await system.until(arrived(name), f"what is in the topics of {name} is in the table")
    shop.grow("orders", 3)
    shop.make("shop.c", 1)
    shop.send("orders", 20, 2, "orders")
    shop.send("shop.c", 20, 0, "shop")
    before = shop.state("orders", "shop.a", "shop.b", "shop.c")
    for name in receivers:
        await system.until(arrived(name), f"what came in a new partition or topic of {name} is in the table")
    shown = (await system.call("GET", "/v1/receivers/shop")).json()["source"]
    for name in receivers:
        assert (await system.call("DELETE", f"/v1/receivers/{name}")).status_code == 200
    async with ControlView(system.settings) as view:

        async def forgotten() -> bool:
            return not (view.catalog.bindings or view.catalog.draining)

        await system.until(forgotten, "nothing of the receivers is on its way any more")

    assert shown["read"] == [shop.name(f"shop.{topic}") for topic in "abc"]
    assert {name: rows_of(system, name) for name in receivers} == shop.sent
    assert shop.state("orders", "shop.a", "shop.b", "shop.c") == before


def bound_export(name: str) -> dict[str, Any]:
    return {
        "id": "all",
        "name": "all",
        "mapping": {"tableId": f"in.c-bound.{name}", "columns": [{"name": "body", "type": "body"}]},
        "conditions": {"count": 1000, "size": "1MB", "time": "1s"},
    }


def rows_of(system: Any, table: str) -> Counter[str]:
    try:
        return Counter(body for (body,) in system.storage.sql(f'select body from "in.c-bound"."{table}"'))
    except ValueError:
        return Counter()


def test_the_picture_and_every_linked_file_are_there() -> None:
    readme = (ROOT / "README.md").read_text()

    links = [link for link in re.findall(r"\]\(([^)#]+)\)", readme) if "://" not in link]

    assert "gateway ─► events.<p>.<r> ─► mapper ─► rows ─► sink" in readme
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))

    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text()))

    assert {"run", "test", "bench", "help"} <= named
    assert named <= targets
