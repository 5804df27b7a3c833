"""Beginning and ending replays: what the log and Storage have afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from buffer_stack import Client, api_client, export_body, export_of, tokens_of, until
from confluent_kafka import Producer

from app.api.commands import CommandSender
from app.api.drafts import LaneResult, Retirement, dump_draft
from app.control.topics import delete_topic
from app.kafka.client import connect_admin
from app.kafka.names import Names
from app.keboola.client import StorageClient
from app.keboola.errors import StorageNotFound
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.model.replay import OffsetRange, Replay
from app.model.task import TaskType, new_task
from app.settings import Settings

pytestmark = pytest.mark.usefixtures("control")
FIRST = "1970-01-01"


def now() -> str:
    """A time after all that has happened: the millisecond of the last record is over."""
    last = before = datetime.now(UTC).isoformat(timespec="milliseconds")
    while last == before:
        last = datetime.now(UTC).isoformat(timespec="milliseconds")
    return last


def produce(settings: Settings, receiver_id: str, *partitions: int) -> None:
    """An event in each of these partitions."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for partition in partitions:
        producer.produce(Names(settings.topic_prefix).events("1234", receiver_id), b"{}", partition=partition)
    assert producer.flush(20) == 0


def replays_of(api: Client, receiver_id: str) -> list[Replay]:
    return api.view.catalog.replays_of(export_of(api, receiver_id, "e").uid)


async def begun(api: Client, settings: Settings, name: str, **body: str) -> Replay:
    """A replay of two events, in force."""
    produce(settings, name, 0, 0)
    task = await api.finished(
        await api.post(f"/v1/receivers/{name}/exports/e/replay", {"from": FIRST, "to": now(), **body})
    )
    assert task["status"] == "success", task
    return replays_of(api, name)[-1]


async def end(api: Client, settings: Settings, replay: Replay, result: LaneResult) -> None:
    """As the sink says it."""
    task = new_task("1234", TaskType.EXPORT_RETIRE, replay.receiver_id, replay.export_id)
    retirement = Retirement(replay.export_uid, (replay.revision.number,), (result,))
    async with CommandSender(settings) as commands:
        await commands.send(task, dump_draft(retirement))
    await until(lambda: replays_of(api, replay.receiver_id)[-1].is_finished, "a finished replay")


@pytest.fixture
async def path(api: Client, name: str) -> str:
    """Of the export "e" of a new receiver, which has the id `name`."""
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    return f"/v1/receivers/{name}/exports/e"


async def test_replay_has_the_offsets_of_its_time_a_table_and_a_token(
    api: Client, storage: StorageClient, settings: Settings, path: str, name: str
) -> None:
    produce(settings, name, 0, 0, 1)
    between = now()
    produce(settings, name, 0, 1, 1)

    task = await api.finished(
        await api.post(f"{path}/replay", {"from": between, "to": now(), "tableId": f"in.c-{name}.other"})
    )

    (replay,) = replays_of(api, name)
    assert (task["type"], task["result"]) == ("replay.create", f"replay {replay.lane} begun")
    assert replay.ranges == (OffsetRange(0, 2, 3), OffsetRange(1, 1, 3))
    assert list(storage.table_detail(f"in.c-{name}.other").columns) == ["id", "body", "value"]
    assert len(tokens_of(storage, name)) == 2
    shown = (await api.get(f"{path}/replays/{replay.lane}")).json()
    assert (shown["state"], shown["revision"], shown["offsets"], shown["mapped"]) == ("mapping", 1, 3, 0)
    assert (await api.get(f"{path}/replays")).json() == {"replays": [shown]}


async def test_replay_of_a_time_without_events_leaves_nothing(
    api: Client, storage: StorageClient, path: str, name: str
) -> None:
    wanted = {"from": FIRST, "to": "2000-01-01", "tableId": f"in.c-{name}-x.other"}
    task = await api.finished(await api.post(f"{path}/replay", wanted))

    assert (task["status"], task["error"]) == ("error", "The receiver's topic has no event of that time.")
    assert replays_of(api, name) == []
    assert len(tokens_of(storage, name)) == 1
    with pytest.raises(StorageNotFound):
        storage.bucket_detail(f"in.c-{name}-x")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"from": "2026-01-02", "to": "2026-01-01"}, "Body.from must be before body.to"),
        ({"from": "2026-01-02", "to": "2100-01-01"}, "Body.to must not be in the future"),
        ({"from": "yesterday", "to": "2026-01-01"}, "Body.from must be a time in ISO 8601"),
        ({"from": "2026-01-01", "to": "2026-01-02", "tableId": "t"}, 'Invalid "tableId"'),
    ],
)
async def test_replay_that_can_never_be_is_refused_at_once(
    api: Client, path: str, body: dict[str, Any], message: str
) -> None:
    answer = await api.post(f"{path}/replay", body)

    assert (answer.status_code, answer.json()["error"]) == (400, "buffer.badRequest")
    assert message in answer.json()["message"]


async def test_dry_run_maps_on_trial_and_begins_nothing(api: Client, settings: Settings, path: str, name: str) -> None:
    produce(settings, name, 0, 0, 1)

    answer = await api.post(f"{path}/replay?dryRun=1", {"from": FIRST, "to": now()})

    assert answer.status_code == 200
    tried = answer.json()
    assert [(part["first"], part["end"]) for part in tried["ranges"]] == [(0, 2), (0, 1)]
    assert (tried["tried"], tried["rows"], tried["failures"], tried["isWhole"]) == (3, 0, 3, True)
    assert replays_of(api, name) == []


async def test_dry_run_tries_as_many_events_as_the_setting_says(
    api: Client, settings: Settings, emulator: Emulator, path: str, name: str
) -> None:
    produce(settings, name, 0, 0, 1)

    async with api_client(settings.model_copy(update={"max_dry_run_events": 2}), emulator.master_token) as frugal:
        tried = (await frugal.post(f"{path}/replay?dryRun=1", {"from": FIRST, "to": now()})).json()

    assert (tried["offsets"], tried["tried"], tried["isWhole"]) == (3, 2, False)


async def test_replay_that_is_cancelled_ends_with_what_was_mapped(
    api: Client, settings: Settings, path: str, name: str
) -> None:
    replay = await begun(api, settings, name)

    answer = await api.delete(f"{path}/replays/{replay.lane}")
    again = await api.delete(f"{path}/replays/{replay.lane}")
    await end(api, settings, replay, LaneResult(replay.revision.number, 1, 0))

    assert (answer.status_code, again.status_code, answer.json()["state"]) == (200, 200, "cancelling")
    shown = (await api.get(f"{path}/replays/{replay.lane}")).json()
    assert (shown["state"], shown["rows"], shown["skipped"]) == ("cancelled", 1, 1)
    assert (shown["cancelledAt"], "mapped" in shown) == (answer.json()["cancelledAt"], False)
    assert shown["note"] == "It was cancelled: what was not mapped before is left out."


async def test_replay_whose_topic_is_gone_says_so(api: Client, settings: Settings, path: str, name: str) -> None:
    replay = await begun(api, settings, name)
    await delete_topic(connect_admin(settings), replay.topic, replay.topic_id)

    await end(api, settings, replay, LaneResult(replay.revision.number, 1, 0))

    shown = (await api.get(f"{path}/replays/{replay.lane}")).json()
    assert (shown["state"], shown["rows"], shown["skipped"]) == ("finished", 1, 1)
    assert shown["note"] == f"Topic {replay.topic} is gone: what was not mapped before is left out."


async def test_replay_that_is_over_keeps_no_token(
    api: Client, storage: StorageClient, settings: Settings, path: str, name: str
) -> None:
    replay = await begun(api, settings, name)

    await end(api, settings, replay, LaneResult(replay.revision.number, 1, 1))

    shown = (await api.get(f"{path}/replays/{replay.lane}")).json()
    assert (shown["state"], shown["rows"], shown["failures"], shown["skipped"]) == ("finished", 1, 1, 0)
    assert "note" not in shown
    assert tokens_of(storage, name) == [export_of(api, name, "e").revision.token_id]
    assert (replays_of(api, name)[-1].revision.token, replays_of(api, name)[-1].begun_by) == (b"", b"")


async def test_tokens_of_replays_are_refreshed_too(
    api: Client, settings: Settings, path: str, name: str, storage: StorageClient
) -> None:
    replay = await begun(api, settings, name)

    await api.post(f"/v1/receivers/{name}/tokens/refresh", None)

    (refreshed,) = replays_of(api, name)
    text = Cipher(settings.encryption_key).decrypt(refreshed.revision.token)
    assert refreshed.revision.token != replay.revision.token
    with StorageClient(settings.storage_api_host, text) as client:
        assert client.verify_token().bucket_permissions == {f"in.c-{name}": "write"}
    assert len(tokens_of(storage, name)) == 2


async def test_discarded_export_leaves_nothing_of_its_replays(
    api: Client, settings: Settings, path: str, name: str, storage: StorageClient
) -> None:
    replay = await begun(api, settings, name)

    await api.delete(f"{path}?discard=true")

    await until(lambda: api.view.catalog.replays_of(replay.export_uid) == [], "no replay any more")
    assert tokens_of(storage, name) == []


async def test_table_of_a_replay_takes_no_full_load(api: Client, settings: Settings, path: str, name: str) -> None:
    await begun(api, settings, name, tableId=f"in.c-{name}.other")
    full = export_body("full", f"in.c-{name}.other")
    full["mapping"]["incremental"] = False

    refused = await api.post(f"/v1/receivers/{name}/exports", full)

    assert (refused.status_code, refused.json()["error"]) == (409, "buffer.tableInUse")


async def test_full_load_is_replayed_into_another_table_only(
    api: Client, settings: Settings, path: str, name: str
) -> None:
    full = export_body("full", f"in.c-{name}.full")
    full["mapping"]["incremental"] = False
    await api.create(f"/v1/receivers/{name}/exports", full)
    produce(settings, name, 0)
    wanted = {"from": FIRST, "to": now()}

    refused = await api.post(f"/v1/receivers/{name}/exports/full/replay", wanted)
    taken = await api.finished(
        await api.post(f"/v1/receivers/{name}/exports/full/replay", wanted | {"tableId": f"in.c-{name}.again"})
    )

    assert (refused.status_code, "replay into another table" in refused.json()["message"]) == (400, True)
    assert taken["status"] == "success"


async def test_requeue_without_letters_says_so(api: Client, path: str, name: str) -> None:
    task = await api.finished(await api.post(f"{path}/dead-letters/requeue", {"until": "2000-01-01"}))

    assert (task["status"], task["error"]) == ("error", "There are no dead letters of that time.")
