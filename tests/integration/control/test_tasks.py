"""What a task does with what was there before, beside other tasks, and with a slow Storage; see `test_faults` too."""

from __future__ import annotations

import asyncio

import pytest
from buffer_stack import (
    Client,
    api_client,
    export_body,
    export_of,
    tokens_of,
    until,
)

from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.settings import Settings

BUCKETS, TABLES = r"storage/buckets$", "tables-definition$"
pytestmark = pytest.mark.usefixtures("control")


async def test_what_was_there_before_is_compared_and_kept(api: Client, storage: StorageClient, name: str) -> None:
    storage.create_bucket("in", name)
    storage.create_table(f"in.c-{name}", "t", ["id", "other"], [])
    await api.create("/v1/receivers", {"name": name})

    task = await api.finished(await api.post(f"/v1/receivers/{name}/exports", export_body("e", f"in.c-{name}.t")))

    assert task["error"] == (
        f'- columns of the table "in.c-{name}.t" do not match expected ["id","body","value"], found ["id","other"]\n'
        f'- primary key of the table "in.c-{name}.t" does not match expected ["id"], found []'
    )
    assert list(storage.table_detail(f"in.c-{name}.t").columns) == ["id", "other"]
    assert tokens_of(storage, name) == []


async def test_failed_task_keeps_a_bucket_that_was_there_before(
    api: Client, storage: StorageClient, emulator: Emulator, name: str
) -> None:
    storage.create_bucket("in", name)
    emulator.fault("status", method="POST", path=TABLES, status=400)

    task = await api.finished(
        await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    )

    assert task["status"] == "error"
    assert tokens_of(storage, name) == []
    assert storage.bucket_detail(f"in.c-{name}")


async def test_token_of_another_installation_with_the_same_names_is_left_alone(
    api: Client, storage: StorageClient, emulator: Emulator, name: str
) -> None:
    other = storage.create_token(f"[_internal] Buffer Export e for Receiver {name}", {})
    emulator.fault("status", method="POST", path=TABLES, status=400)
    body = {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]}

    failed = await api.finished(await api.post("/v1/receivers", body))
    after_failure = tokens_of(storage, name)
    await api.create("/v1/receivers", body)

    assert failed["status"] == "error"
    assert after_failure == [other.id]
    assert sorted(tokens_of(storage, name)) == sorted([other.id, export_of(api, name, "e").revision.token_id])


async def test_second_task_on_a_busy_entity_is_409_on_every_instance(
    api: Client, emulator: Emulator, settings: Settings, name: str
) -> None:
    emulator.fault("status", method="POST", path=BUCKETS, status=503, times=None)
    body = {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]}

    async with api_client(settings, emulator.master_token) as other:
        first = await api.post("/v1/receivers", body)
        seconds = [
            await instance.http.request(method, path, json=payload)
            for instance in (api, other)
            for method, path, payload in (
                ("POST", "/v1/receivers", body),
                ("POST", f"/v1/receivers/{name}/exports", export_body("f")),
                ("DELETE", f"/v1/receivers/{name}", None),
            )
        ]
    emulator.clear_faults()

    assert [(a.status_code, a.json()["error"]) for a in seconds] == [(409, "buffer.taskAlreadyRunning")] * 6
    assert (await api.finished(first))["status"] == "success"


async def test_of_two_that_create_the_same_receiver_at_once_one_wins(
    api: Client, emulator: Emulator, settings: Settings, name: str
) -> None:
    await api.create("/v1/receivers", {"name": f"{name}-first"})

    async with api_client(settings, emulator.master_token) as other:
        for number in range(5):
            body = {"name": f"{name}-{number}"}
            answers = await asyncio.gather(api.post("/v1/receivers", body), other.post("/v1/receivers", body))
            assert sorted(answer.status_code for answer in answers) == [202, 409]
            (winner,) = [answer for answer in answers if answer.status_code == 202]
            assert (await api.finished(winner))["status"] == "success"


async def test_delete_that_takes_long_is_504_with_the_tasks_url(
    api: Client, emulator: Emulator, settings: Settings, name: str
) -> None:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    emulator.fault("delay", method="DELETE", path="storage/tokens/", seconds=3)

    async with api_client(settings.model_copy(update={"synchronous_seconds": 0.5}), emulator.master_token) as hasty:
        answer = await hasty.delete(f"/v1/receivers/{name}?discard=true")

    assert (answer.status_code, answer.json()["error"]) == (504, "buffer.taskTimeout")
    (url,) = [part for part in answer.json()["message"].split('"') if "/v1/tasks/" in part]
    await until(lambda: emulator.faults()[0]["used"] == 1, "the token's deletion")
    task = await api.task(url)
    assert (task["type"], task["status"], task["result"]) == ("receiver.delete", "success", "receiver deleted")


async def test_receiver_is_deleted_although_storage_does_not_delete_its_token(
    api: Client, emulator: Emulator, name: str
) -> None:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    emulator.fault("status", method="DELETE", path="storage/tokens/", status=500, retry_after=600, times=None)

    answer = await api.delete(f"/v1/receivers/{name}?discard=true")

    assert (answer.status_code, answer.content) == (200, b"")
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 404
