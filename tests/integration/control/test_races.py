"""Two gateways and two control processes: what one has finished the other shows; what only one can have, one gets."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from buffer_stack import DEADLINE_SECONDS, Client, Controls, export_body, make_settings
from gateway_server import GatewayServer

from app.kafka.client import connect_admin
from app.kafka.names import Names
from app.local.storage import Emulator
from app.settings import Settings

MAX_RECEIVERS, MAX_EXPORTS, MAX_REVISIONS = 4, 3, 3
ROUNDS = 5


@pytest.fixture(scope="module")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    """Limits that are soon reached."""
    return make_settings(
        kafka,
        f"test-{uuid.uuid4().hex[:12]}",
        emulator_process,
        max_receivers=MAX_RECEIVERS,
        max_exports=MAX_EXPORTS,
        max_revisions=MAX_REVISIONS,
    )


@pytest.fixture(scope="module")
def addresses(settings: Settings, controls: Controls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Of two gateways, beside two control processes; all live to the end."""
    folder = tmp_path_factory.mktemp("gateways")
    processes = [controls.start(), controls.start()]
    gateways = [GatewayServer(settings, folder) for _ in range(2)]
    try:
        for gateway in gateways:
            gateway.wait_ready()
        _wait_for_members(settings, len(processes))
        yield [gateway.url for gateway in gateways]
        for process in (*processes, *gateways):
            assert process.alive, process.log.read_text()[-3000:]
    finally:
        for gateway in gateways:
            gateway.stop()


def _wait_for_members(settings: Settings, wanted: int) -> None:
    """A process that joins later makes control pause, and then a gateway answers without waiting for it."""
    admin, group = connect_admin(settings), Names(settings.topic_prefix).group("control")

    def sizes() -> list[int]:
        found = admin.describe_consumer_groups([group])[group].result(60)
        return [len(member.assignment.topic_partitions) for member in found.members]

    deadline = time.monotonic() + DEADLINE_SECONDS
    while sizes() != [1] * wanted:
        assert time.monotonic() < deadline, f"no {wanted} control processes share the commands: {sizes()}"
        time.sleep(0.1)


class Caller(Client):
    """Speaks to one gateway; tasks are followed there too, whatever their URL says."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def task(self, url: str) -> dict[str, Any]:
        return await super().task(httpx.URL(url).path)


@pytest.fixture
async def callers(addresses: list[str], emulator: Emulator) -> AsyncIterator[list[Caller]]:
    """One for each gateway; the project has no receiver before and after."""
    headers = {"X-StorageApi-Token": emulator.master_token}
    async with AsyncExitStack() as stack:
        callers = []
        for url in addresses:
            client = httpx.AsyncClient(base_url=url, headers=headers, timeout=DEADLINE_SECONDS)
            callers.append(Caller(await stack.enter_async_context(client)))
        await callers[0].create("/v1/receivers", {"name": "warm-up"})  # from now on control answers at once
        await _delete_all(callers[0])
        yield callers
        await _delete_all(callers[0])


async def _delete_all(caller: Caller) -> None:
    for receiver in (await caller.get("/v1/receivers")).json()["receivers"]:
        assert (await caller.delete(f"/v1/receivers/{receiver['id']}?discard=true")).status_code == 200


async def _one_wins(callers: list[Caller], answers: list[httpx.Response], errors: set[str]) -> dict[str, Any]:
    """The finished task of the only answer that is no 409; the others have these errors."""
    (winner,) = [answer for answer in answers if answer.status_code in (200, 202)]
    losers = [answer for answer in answers if answer is not winner]
    assert [answer.status_code for answer in losers] == [409] * len(losers)
    assert {answer.json()["error"] for answer in losers} <= errors
    return await callers[0].finished(winner)


async def test_what_one_gateway_finished_the_other_shows(callers: list[Caller], name: str) -> None:
    for number, (one, other) in enumerate(itertools.islice(itertools.cycle([callers, callers[::-1]]), 4)):
        receiver = f"/v1/receivers/{name}-{number}"
        sent = await one.post("/v1/receivers", {"name": f"{name}-{number}"})

        task = await other.finished(sent)
        made = await other.get(receiver)
        changed = await one.patch(receiver, {"name": "Changed"})
        shown = await other.get(receiver)
        deleted = await one.delete(receiver)
        gone = await other.get(receiver)

        assert (task["status"], made.status_code, changed.status_code) == ("success", 200, 200)
        assert shown.json() == changed.json()
        assert (deleted.status_code, gone.status_code) == (200, 404)


async def test_of_two_that_create_the_same_receiver_one_wins(callers: list[Caller], name: str) -> None:
    for number in range(ROUNDS):
        body = {"name": f"{name}-{number}", "exports": [export_body("e", f"in.c-{name}.t")]}

        answers = await asyncio.gather(*(caller.post("/v1/receivers", body) for caller in callers))

        task = await _one_wins(callers, answers, {"buffer.taskAlreadyRunning", "buffer.receiverAlreadyExists"})
        assert task["status"] == "success"
        await callers[0].delete(f"/v1/receivers/{name}-{number}?discard=true")


async def test_of_two_that_create_the_same_export_one_wins(callers: list[Caller], name: str) -> None:
    await callers[0].create("/v1/receivers", {"name": name})
    path = f"/v1/receivers/{name}/exports"
    for number in range(MAX_EXPORTS):
        body = export_body(f"e{number}", f"in.c-{name}.t")

        answers = await asyncio.gather(*(caller.post(path, body) for caller in callers))

        task = await _one_wins(callers, answers, {"buffer.taskAlreadyRunning", "buffer.exportAlreadyExists"})
        assert task["status"] == "success"


async def test_of_two_that_change_the_same_export_one_wins(callers: list[Caller], name: str) -> None:
    await callers[0].create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    change = {"mapping": {"tableId": f"in.c-{name}.u", "columns": [{"name": "a", "type": "body"}]}}
    path = f"/v1/receivers/{name}/exports/e"

    answers = await asyncio.gather(*(caller.patch(path, change) for caller in callers))

    assert (await _one_wins(callers, answers, {"buffer.taskAlreadyRunning"}))["status"] == "success"


async def test_last_receiver_within_the_limit_is_given_once(callers: list[Caller], name: str) -> None:
    for number in range(MAX_RECEIVERS - 1):
        await callers[0].create("/v1/receivers", {"name": f"{name}-{number}"})

    answers = await asyncio.gather(
        *(
            caller.post("/v1/receivers", {"name": f"{name}-{kind}-{n}"})
            for n, caller in enumerate(callers)
            for kind in "ab"
        )
    )

    task = await _one_wins(callers, answers, {"buffer.receiverCountLimitReached"})
    refused = await callers[1].post("/v1/receivers", {"name": f"{name}-more"})
    assert task["status"] == "success"
    assert len((await callers[1].get("/v1/receivers")).json()["receivers"]) == MAX_RECEIVERS
    assert refused.json() == {
        "statusCode": 409,
        "error": "buffer.receiverCountLimitReached",
        "message": f"Receiver count limit reached in the project, the maximum is {MAX_RECEIVERS}.",
    }


async def test_last_export_within_the_limit_is_given_once(callers: list[Caller], name: str) -> None:
    first = [export_body(f"e{number}", f"in.c-{name}.t") for number in range(MAX_EXPORTS - 1)]
    await callers[0].create("/v1/receivers", {"name": name, "exports": first})
    path = f"/v1/receivers/{name}/exports"

    answers = await asyncio.gather(
        *(
            caller.post(path, export_body(f"{kind}{number}", f"in.c-{name}.t"))
            for number, caller in enumerate(callers)
            for kind in "ab"
        )
    )

    task = await _one_wins(callers, answers, {"buffer.exportCountLimitReached"})
    assert task["status"] == "success"
    assert len((await callers[1].get(path)).json()["exports"]) == MAX_EXPORTS


async def test_mappings_of_an_export_are_limited_and_other_changes_are_not(callers: list[Caller], name: str) -> None:
    await callers[0].create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    path = f"/v1/receivers/{name}/exports/e"
    mapping = {"mapping": export_body("e", f"in.c-{name}.t")["mapping"]}
    for _ in range(MAX_REVISIONS - 1):
        assert (await callers[0].finished(await callers[0].patch(path, mapping)))["status"] == "success"

    refused = await callers[1].patch(path, mapping)
    renamed = await callers[1].finished(await callers[1].patch(path, {"name": "Renamed"}))

    assert refused.json() == {
        "statusCode": 409,
        "error": "buffer.mappingRevisionCountLimitReached",
        "message": f"Mapping revision count limit reached in the export, the maximum is {MAX_REVISIONS}.",
    }
    assert renamed["status"] == "success"
