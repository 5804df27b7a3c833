"""Control killed in the last steps of `receiver.create`, which are Kafka's, and in each step of `export.update`."""

from __future__ import annotations

from typing import Any

import pytest
from buffer_stack import (
    Client,
    ControlProcess,
    Controls,
    assert_in_force,
    export_body,
    export_of,
    tokens_of,
    until,
)

from app.kafka.client import connect_admin
from app.kafka.names import Names
from app.kafka.plan import describe_topics
from app.keboola.client import StorageClient
from app.keboola.errors import StorageNotFound
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.settings import Settings

BUCKETS, TOKENS, TABLES = r"storage/buckets$", r"storage/tokens$", "tables-definition$"
LONG = 600.0
"""The request hangs until its process is killed."""


@pytest.mark.parametrize("moment", ["topic", pytest.param("log", marks=pytest.mark.long)])
async def test_task_survives_the_death_of_its_process_when_all_is_made(
    api: Client,
    storage: StorageClient,
    settings: Settings,
    control: ControlProcess,
    controls: Controls,
    name: str,
    moment: str,
) -> None:
    admin, topic = connect_admin(settings), Names(settings.topic_prefix).events("1234", name)
    sent = await api.post("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    if moment == "topic":
        await until(lambda: topic in describe_topics(admin, [topic]), "the receiver's topic")
    else:
        await until(lambda: f"1234/{name}" in api.view.catalog.receivers, "the receiver in the log")
    control.kill()

    controls.start()
    task = await api.finished(sent)
    await api.create("/v1/receivers", {"name": f"{name}-next"})  # so it has gone on from where the dead one was

    assert task["status"] == "success", task["error"]
    await assert_in_force(api, storage, settings, name)


async def _change_that_hangs(
    api: Client, emulator: Emulator, control: ControlProcess, name: str, effect: str, path: str
) -> Any:
    """A new mapping, in a bucket of its own, whose control process is killed at this request to Storage."""
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    emulator.fault(effect, method="POST", path=path, seconds=LONG)
    mapping = {"tableId": f"in.c-{name}2.u", "columns": [{"name": "raw", "type": "body"}]}
    sent = await api.patch(f"/v1/receivers/{name}/exports/e", {"name": "Changed", "mapping": mapping})
    await until(lambda: emulator.faults()[0]["used"] == 1, "the request that hangs")
    control.kill()
    return sent


_STEPS = pytest.mark.parametrize(
    ("effect", "path"),
    [
        pytest.param("delay_after", BUCKETS, marks=pytest.mark.long),
        ("delay_after", TOKENS),
        pytest.param("delay", TABLES, marks=pytest.mark.long),
        pytest.param("delay_after", TABLES, marks=pytest.mark.long),
    ],
)


@_STEPS
async def test_change_survives_the_death_of_its_process(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    control: ControlProcess,
    controls: Controls,
    name: str,
    effect: str,
    path: str,
) -> None:
    sent = await _change_that_hangs(api, emulator, control, name, effect, path)

    controls.start()
    task = await api.finished(sent)

    assert task["status"] == "success", task["error"]
    shown = (await api.get(f"/v1/receivers/{name}/exports/e")).json()
    assert (shown["name"], shown["mapping"]["tableId"]) == ("Changed", f"in.c-{name}2.u")
    export = export_of(api, name, "e")
    assert [revision.number for revision in export.revisions] == [1, 2]
    assert sorted(tokens_of(storage, name)) == sorted(revision.token_id for revision in export.revisions)
    text = Cipher(settings.encryption_key).decrypt(export.revision.token)
    with StorageClient(settings.storage_api_host, text) as client:
        assert client.verify_token().bucket_permissions == {f"in.c-{name}2": "write"}


@_STEPS
async def test_change_that_fails_after_the_death_of_its_process_leaves_nothing(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    control: ControlProcess,
    controls: Controls,
    name: str,
    effect: str,
    path: str,
) -> None:
    sent = await _change_that_hangs(api, emulator, control, name, effect, path)
    emulator.fault("status", method="POST", path=TABLES, status=400)
    if (effect, path) == ("delay_after", TABLES):  # the table is there, so nothing will ask for it again
        emulator.clear_faults()
        emulator.fault("status", method="GET", path=rf"storage/tables/in\.c-{name}2\.u$", status=403)

    controls.start()
    task = await api.finished(sent)

    assert task["status"] == "error"
    assert task["error"].startswith("Storage refused to ")
    export = export_of(api, name, "e")
    assert ([revision.number for revision in export.revisions], export.name) == ([1], "e")
    assert tokens_of(storage, name) == [export.revision.token_id]
    with pytest.raises(StorageNotFound):
        storage.bucket_detail(f"in.c-{name}2")
