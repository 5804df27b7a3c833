"""Control killed or frozen in the middle of a task: another process ends the task, and nothing is left behind."""

from __future__ import annotations

import pytest
from buffer_stack import (
    Client,
    ControlProcess,
    Controls,
    assert_in_force,
    assert_nothing_left,
    export_body,
    tokens_of,
    until,
)

from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.settings import Settings

BUCKETS, TOKENS, TABLES = r"storage/buckets$", r"storage/tokens$", "tables-definition$"
LONG = 600.0
"""The request hangs until its process is killed."""


async def _stuck(emulator: Emulator) -> None:
    await until(lambda: emulator.faults()[0]["used"] == 1, "the request that hangs")


@pytest.mark.parametrize(
    ("effect", "method", "path"),
    [
        pytest.param("delay", "GET", TOKENS, marks=pytest.mark.long),
        pytest.param("delay", "POST", BUCKETS, marks=pytest.mark.long),
        ("delay_after", "POST", BUCKETS),
        ("delay_after", "POST", TOKENS),
        pytest.param("delay_after", "POST", TABLES, marks=pytest.mark.long),
        ("delay_after", "GET", r"storage/tables/[^/]*\.t$"),
    ],
)
async def test_task_survives_the_death_of_its_process(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    control: ControlProcess,
    controls: Controls,
    name: str,
    effect: str,
    method: str,
    path: str,
) -> None:
    emulator.fault(effect, method=method, path=path, seconds=LONG)
    sent = await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    await _stuck(emulator)
    control.kill()

    controls.start()
    task = await api.finished(sent)

    assert task["status"] == "success", task["error"]
    await assert_in_force(api, storage, settings, name)


@pytest.mark.parametrize("path", [pytest.param(BUCKETS, marks=pytest.mark.long), TOKENS])
async def test_process_that_resumes_a_task_removes_what_the_dead_one_made(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    control: ControlProcess,
    controls: Controls,
    name: str,
    path: str,
) -> None:
    emulator.fault("delay_after", method="POST", path=path, seconds=LONG)
    sent = await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    await _stuck(emulator)
    control.kill()
    assert storage.bucket_detail(f"in.c-{name}")
    emulator.fault("status", method="POST", path=TABLES, status=400)

    controls.start()
    task = await api.finished(sent)

    assert task["status"] == "error"
    assert task["error"].startswith(f'Storage refused to create the table "in.c-{name}.t"')
    assert_nothing_left(storage, name)


async def test_undoing_goes_on_after_the_death_of_its_process(
    api: Client, storage: StorageClient, emulator: Emulator, control: ControlProcess, controls: Controls, name: str
) -> None:
    emulator.fault("delay_after", method="DELETE", path=r"storage/tokens/\d+$", seconds=LONG)
    emulator.fault("status", method="POST", path=TABLES, status=400)
    sent = await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    await _stuck(emulator)
    control.kill()

    controls.start()
    task = await api.finished(sent)

    assert task["status"] == "error"
    assert task["error"].startswith(f'Storage refused to create the table "in.c-{name}.t"')
    assert_nothing_left(storage, name)


async def test_frozen_process_that_wakes_up_changes_nothing(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    control: ControlProcess,
    controls: Controls,
    name: str,
) -> None:
    await api.create("/v1/receivers", {"name": f"{name}-before"})
    emulator.fault("delay_after", method="POST", path=TOKENS, seconds=1)
    sent = await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    await _stuck(emulator)
    control.freeze()

    second = controls.start()
    task = await api.finished(sent)
    control.thaw()
    second.stop()
    later = await api.create("/v1/receivers", {"name": f"{name}-after"})  # by the one that was frozen

    assert (task["status"], later["status"]) == ("success", "success")
    await assert_in_force(api, storage, settings, name)


async def test_delete_survives_the_death_of_its_process(
    api: Client, storage: StorageClient, emulator: Emulator, control: ControlProcess, controls: Controls, name: str
) -> None:
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    emulator.fault("delay", method="DELETE", path="storage/tokens/", seconds=LONG)
    deleted = api.start_delete(f"/v1/receivers/{name}?discard=true")
    await _stuck(emulator)
    control.kill()

    controls.start()
    answer = await deleted

    assert (answer.status_code, answer.content) == (200, b"")
    assert tokens_of(storage, name) == []


async def test_storage_that_stays_away_ends_the_task_in_time(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    control: ControlProcess,
    controls: Controls,
    name: str,
) -> None:
    control.kill()
    impatient = controls.start(task_timeout_seconds=12)
    emulator.fault("status", method="POST", path=TABLES, status=503, times=None)

    task = await api.finished(
        await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    )

    assert task["status"] == "error"
    table = f'the table "in.c-{name}.t"'
    begun, not_begun = (
        f"Storage did not create {table} in time.",
        f"The task ran out of time before it could create {table}.",
    )
    assert task["error"].startswith((begun, not_begun))
    assert_nothing_left(storage, name)
    impatient.kill()
