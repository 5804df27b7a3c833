"""What a task does when Storage refuses, is away, or answers after the effect; and what it leaves behind."""

from __future__ import annotations

import asyncio

import pytest
from buffer_stack import (
    Client,
    api_client,
    assert_in_force,
    assert_nothing_left,
    export_body,
    export_of,
    tokens_of,
    until,
)

from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.settings import Settings

BUCKETS, TOKENS, TABLES = r"storage/buckets$", r"storage/tokens$", "tables-definition$"


pytestmark = pytest.mark.usefixtures("control")


@pytest.mark.parametrize(
    ("effect", "path", "rule"),
    [
        ("status", BUCKETS, {"status": 503, "retry_after": 1, "times": 2}),
        ("status_after", BUCKETS, {"status": 500}),
        ("status", TOKENS, {"status": 429}),
        ("status_after", TOKENS, {"status": 504}),
        ("reset_after", TOKENS, {}),
        ("status_after", TABLES, {"status": 500}),
        ("reset", TABLES, {}),
    ],
)
async def test_trouble_in_storage_is_outlasted(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    name: str,
    effect: str,
    path: str,
    rule: dict[str, int],
) -> None:
    emulator.fault(effect, method="POST", path=path, **rule)

    task = await api.finished(
        await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    )

    assert emulator.faults()[0]["used"] == rule.get("times", 1)
    assert task["status"] == "success", task["error"]
    await assert_in_force(api, storage, settings, name)


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        (BUCKETS, 403, 'Storage refused to create the bucket "in.c-{name}": '),
        (TOKENS, 403, 'Storage refused to create the token of the export "e" for the bucket "in.c-{name}": '),
        (TABLES, 400, 'Storage refused to create the table "in.c-{name}.t": '),
        (TABLES, 401, "Storage no longer accepts the token that the task was started with: "),
    ],
)
async def test_refusal_ends_the_task_and_leaves_nothing(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    name: str,
    path: str,
    status: int,
    error: str,
) -> None:
    emulator.fault("status", method="POST", path=path, status=status)

    task = await api.finished(
        await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    )

    assert (task["status"], "result" in task, "outputs" in task) == ("error", False, False)
    assert task["error"].startswith(error.format(name=name)), task["error"]
    assert_nothing_left(storage, name)
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 404


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
    emulator.fault("status", method="DELETE", path="storage/tokens/", status=500, times=None)

    answer = await api.delete(f"/v1/receivers/{name}?discard=true")

    assert (answer.status_code, answer.content) == (200, b"")
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 404
