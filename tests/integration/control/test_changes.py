"""Changing receivers and exports, refreshing tokens, deleting: what the log and Storage have afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from buffer_stack import Client, ControlProcess, Controls, export_body, export_of, tokens_of, until

from app.api.commands import CommandSender
from app.api.drafts import Retirement, dump_draft
from app.control.topics import delete_topic
from app.kafka.client import connect_admin
from app.kafka.names import Names
from app.kafka.plan import describe_topics
from app.keboola.client import StorageClient
from app.keboola.errors import StorageNotFound, StorageTokenInvalid
from app.local.storage import Emulator
from app.model.catalog import task_key
from app.model.cipher import Cipher
from app.model.receiver import Draining, Export
from app.model.task import TaskType, new_task
from app.settings import Settings

pytestmark = pytest.mark.usefixtures("control")
TABLES = "tables-definition$"


def mapping(table: str, *names: str) -> dict[str, Any]:
    return {"tableId": table, "columns": [{"name": name, "type": "body"} for name in names]}


def token_of(settings: Settings, export: Export) -> str:
    return Cipher(settings.encryption_key).decrypt(export.revision.token)


def draining_of(api: Client, receiver_id: str) -> list[Draining]:
    return [d for d in api.view.catalog.draining.values() if d.export.receiver_id == receiver_id]


def topics_of(settings: Settings, receiver_id: str) -> list[str]:
    return list(describe_topics(connect_admin(settings), [Names(settings.topic_prefix).events("1234", receiver_id)]))


@pytest.fixture
async def receiver(api: Client, name: str) -> str:
    """A receiver with the export "e"; its id, and its export's path."""
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    return f"/v1/receivers/{name}"


async def test_name_and_description_of_a_receiver_are_changed_at_once(api: Client, receiver: str) -> None:
    before = (await api.get(receiver)).json()

    answer = await api.patch(receiver, {"name": "Other", "description": "words"})

    assert answer.status_code == 200
    assert answer.json() == before | {"name": "Other", "description": "words"}
    assert (await api.get(receiver)).json() == answer.json()


async def test_what_a_patch_of_a_receiver_does_not_name_stays(api: Client, receiver: str) -> None:
    await api.patch(receiver, {"description": "words"})

    answer = await api.patch(receiver, {"name": "Other"})

    assert (answer.json()["name"], answer.json()["description"]) == ("Other", "words")


async def test_name_and_conditions_of_an_export_are_changed_without_a_new_revision(
    api: Client, storage: StorageClient, receiver: str, name: str
) -> None:
    tokens = tokens_of(storage, name)

    answer = await api.patch(f"{receiver}/exports/e", {"name": "Other", "conditions": {"count": 7}})
    task = await api.finished(answer)

    assert answer.status_code == 200
    assert (task["type"], task["status"], task["result"]) == ("export.update", "success", "export updated")
    assert task["outputs"] == {"receiverId": name, "exportId": "e"}
    shown = (await api.get(f"{receiver}/exports/e")).json()
    assert (shown["name"], shown["conditions"]) == ("Other", {"count": 7, "size": "5MB", "time": "5m0s"})
    assert [revision.number for revision in export_of(api, name, "e").revisions] == [1]
    assert tokens_of(storage, name) == tokens


async def test_new_mapping_is_a_new_revision_with_a_token_and_a_table_of_its_own(
    api: Client, storage: StorageClient, settings: Settings, receiver: str, name: str
) -> None:
    change = {"mapping": mapping(f"in.c-{name}2.other", "raw")}

    task = await api.finished(await api.patch(f"{receiver}/exports/e", change))

    assert task["status"] == "success", task
    export = export_of(api, name, "e")
    assert [revision.number for revision in export.revisions] == [1, 2]
    assert sorted(tokens_of(storage, name)) == sorted(revision.token_id for revision in export.revisions)
    assert list(storage.table_detail(f"in.c-{name}2.other").columns) == ["raw"]
    with StorageClient(settings.storage_api_host, token_of(settings, export)) as client:
        assert client.verify_token().bucket_permissions == {f"in.c-{name}2": "write"}
    shown = (await api.get(f"{receiver}/exports/e")).json()
    assert shown["mapping"]["tableId"] == f"in.c-{name}2.other"


async def test_end_of_the_earlier_mapping_is_found_out(api: Client, receiver: str, name: str) -> None:
    await api.finished(await api.patch(f"{receiver}/exports/e", {"mapping": mapping(f"in.c-{name}.other", "raw")}))

    await until(lambda: export_of(api, name, "e").revisions[0].until is not None, "the end of the first revision")

    assert [revision.until for revision in export_of(api, name, "e").revisions] == [(), None]


async def test_mapping_that_does_not_match_its_table_changes_nothing(
    api: Client, storage: StorageClient, receiver: str, name: str
) -> None:
    before = (await api.get(f"{receiver}/exports/e")).json()
    change = {"name": "Other", "mapping": mapping(f"in.c-{name}.t", "raw")}

    task = await api.finished(await api.patch(f"{receiver}/exports/e", change))

    assert task["status"] == "error"
    assert task["error"] == (
        f'- columns of the table "in.c-{name}.t" do not match expected ["raw"], found ["id","body","value"]\n'
        f'- primary key of the table "in.c-{name}.t" does not match expected [], found ["id"]'
    )
    assert (await api.get(f"{receiver}/exports/e")).json() == before
    assert tokens_of(storage, name) == [export_of(api, name, "e").revision.token_id]


async def test_new_mapping_that_cannot_be_made_leaves_nothing_behind(
    api: Client, storage: StorageClient, emulator: Emulator, receiver: str, name: str
) -> None:
    emulator.fault("status", method="POST", path=TABLES, status=400)

    task = await api.finished(
        await api.patch(f"{receiver}/exports/e", {"mapping": mapping(f"in.c-{name}2.other", "raw")})
    )

    assert task["status"] == "error"
    assert tokens_of(storage, name) == [export_of(api, name, "e").revision.token_id]
    with pytest.raises(StorageNotFound):
        storage.bucket_detail(f"in.c-{name}2")


@pytest.mark.long
async def test_mapping_that_does_not_fit_beside_earlier_ones_on_their_way_is_refused(
    api: Client, storage: StorageClient, receiver: str, name: str
) -> None:
    template = {"language": "jsonnet", "content": '"' + "é" * 4000 + '"'}
    columns = [{"name": f"c{number}", "type": "template", "template": template} for number in range(100)]
    tasks = [
        await api.finished(
            await api.patch(f"{receiver}/exports/e", {"mapping": {"tableId": f"in.c-{name}.t{n}", "columns": columns}})
        )
        for n in range(5)
    ]

    assert [task["status"] for task in tasks] == ["success"] * 4 + ["error"]
    assert tasks[-1]["error"].startswith('5 mappings of the export "e" still have rows on their way')
    assert len(tokens_of(storage, name)) == 5
    with pytest.raises(StorageNotFound):
        storage.table_detail(f"in.c-{name}.t4")


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("exports/nix", {"name": "x"}, "buffer.exportNotFound"),
        ("exports/e", {"mapping": {"tableId": "nix", "columns": [{"name": "a", "type": "body"}]}}, "buffer.badRequest"),
        ("exports/e", {"conditions": {"time": "1s"}}, "buffer.badRequest"),
        ("exports/e", {"name": ""}, "buffer.invalidLength"),
    ],
)
async def test_bad_change_is_refused_before_any_task(
    api: Client, receiver: str, path: str, body: dict[str, Any], error: str
) -> None:
    answer = await api.patch(f"{receiver}/{path}", body)

    assert answer.status_code in (400, 404)
    assert answer.json()["error"] == error


async def test_refreshed_token_takes_the_place_of_the_old_one(
    api: Client, settings: Settings, receiver: str, name: str
) -> None:
    before = export_of(api, name, "e")

    answer = await api.post(f"{receiver}/tokens/refresh", None)

    assert answer.status_code == 200
    assert answer.json() == (await api.get(receiver)).json()
    after = export_of(api, name, "e")
    assert after.revision.token_id == before.revision.token_id
    with StorageClient(settings.storage_api_host, token_of(settings, after)) as client:
        assert client.verify_token().bucket_permissions == {f"in.c-{name}": "write"}
    with (
        StorageClient(settings.storage_api_host, token_of(settings, before)) as client,
        pytest.raises(StorageTokenInvalid),
    ):
        client.verify_token()


async def test_token_that_storage_does_not_know_any_more_is_made_again(
    api: Client, storage: StorageClient, settings: Settings, receiver: str, name: str
) -> None:
    storage.delete_token(export_of(api, name, "e").revision.token_id)

    answer = await api.post(f"{receiver}/tokens/refresh", None)

    assert answer.status_code == 200
    export = export_of(api, name, "e")
    assert tokens_of(storage, name) == [export.revision.token_id]
    with StorageClient(settings.storage_api_host, token_of(settings, export)) as client:
        assert client.verify_token().bucket_permissions == {f"in.c-{name}": "write"}


async def test_refresh_whose_answer_is_lost_is_done_again(
    api: Client, emulator: Emulator, settings: Settings, receiver: str, name: str
) -> None:
    emulator.fault("reset_after", method="POST", path="tokens/[0-9]+/refresh$")

    answer = await api.post(f"{receiver}/tokens/refresh", None)

    assert answer.status_code == 200
    with StorageClient(settings.storage_api_host, token_of(settings, export_of(api, name, "e"))) as client:
        assert client.verify_token()


async def test_deleted_receiver_is_gone_and_its_exports_are_drained(
    api: Client, storage: StorageClient, settings: Settings, receiver: str, name: str
) -> None:
    export = export_of(api, name, "e")

    answer = await api.delete(receiver)

    assert (answer.status_code, answer.content) == (200, b"")
    assert (await api.get(receiver)).status_code == 404
    (draining,) = draining_of(api, name)
    assert draining.export.uid == export.uid
    assert tokens_of(storage, name) == [export.revision.token_id]
    await until(lambda: draining_of(api, name)[0].export.drain_to == (), "the end of its events")
    assert topics_of(settings, name)


async def test_deleted_export_is_drained_up_to_what_was_accepted(api: Client, receiver: str, name: str) -> None:
    answer = await api.delete(f"{receiver}/exports/e")

    assert answer.status_code == 200
    assert [draining.export.drain_to for draining in draining_of(api, name)] == [()]
    assert (await api.get(f"{receiver}/exports")).json() == {"exports": []}


async def test_discarded_export_leaves_no_token(api: Client, storage: StorageClient, receiver: str, name: str) -> None:
    answer = await api.delete(f"{receiver}/exports/e?discard=true")

    assert answer.status_code == 200
    assert draining_of(api, name) == []
    assert tokens_of(storage, name) == []


async def test_receiver_made_again_has_nothing_of_the_old_one(api: Client, receiver: str, name: str) -> None:
    old = (await api.get(receiver)).json()
    await api.delete(f"{receiver}?deleteTopic=true")

    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})

    new = (await api.get(receiver)).json()
    assert new["url"] != old["url"]
    (draining,) = draining_of(api, name)
    assert draining.export.drain_to == ()
    assert not draining.delete_topic
    assert draining.export.uid != export_of(api, name, "e").uid


@pytest.mark.parametrize("query", ["deleteTopic=true&discard=true", "deleteTopic=true"])
async def test_topic_of_a_receiver_with_nothing_to_drain_is_deleted_with_it(
    api: Client, settings: Settings, name: str, query: str
) -> None:
    exports = [export_body("e", f"in.c-{name}.t")] if "discard" in query else []
    await api.create("/v1/receivers", {"name": name, "exports": exports})

    answer = await api.delete(f"/v1/receivers/{name}?{query}")

    assert answer.status_code == 200
    await until(lambda: topics_of(settings, name) == [], "the topic gone")


@pytest.mark.usefixtures("control", "receiver")
async def test_topic_that_only_has_the_same_name_is_not_deleted(settings: Settings, name: str) -> None:
    await delete_topic(connect_admin(settings), Names(settings.topic_prefix).events("1234", name), "another id")

    assert topics_of(settings, name)


async def test_unreadable_choice_is_refused(api: Client, receiver: str) -> None:
    answer = await api.delete(f"{receiver}?discard=perhaps")

    assert answer.status_code == 400
    assert "discard" in answer.json()["message"]
    assert (await api.get(receiver)).status_code == 200


async def test_control_that_dies_in_a_refresh_leaves_it_to_the_next(
    api: Client,
    emulator: Emulator,
    settings: Settings,
    control: ControlProcess,
    controls: Controls,
    receiver: str,
    name: str,
) -> None:
    emulator.fault("delay_after", method="POST", path="tokens/[0-9]+/refresh$", seconds=600)
    answer = api.start_post(f"{receiver}/tokens/refresh")
    await until(lambda: emulator.faults()[0]["used"] == 1, "the refresh that hangs")
    control.kill()

    controls.start()

    assert (await answer).status_code == 200
    with StorageClient(settings.storage_api_host, token_of(settings, export_of(api, name, "e"))) as client:
        assert client.verify_token()


async def retire(api: Client, settings: Settings, export: Export, *numbers: int) -> dict[str, Any]:
    """What the sink would say; the task when it has finished."""
    task = new_task("1234", TaskType.EXPORT_RETIRE, export.receiver_id, export.export_id)
    async with CommandSender(settings) as commands:
        await commands.send(task, dump_draft(Retirement(export.uid, numbers)))
    await until(lambda: task_key(task) in api.view.catalog.tasks, "the task")
    return await api.task(f"/v1/tasks/{task.task_id}")


async def test_replaced_mapping_that_is_over_leaves_no_token_and_no_revision(
    api: Client, storage: StorageClient, settings: Settings, receiver: str, name: str
) -> None:
    await api.finished(await api.patch(f"{receiver}/exports/e", {"mapping": mapping(f"in.c-{name}.other", "raw")}))

    task = await retire(api, settings, export_of(api, name, "e"), 1, 2)

    assert task["result"] == "revisions retired"
    export = export_of(api, name, "e")
    assert [revision.number for revision in export.revisions] == [2]
    assert export.ended_by is None
    assert tokens_of(storage, name) == [export.revision.token_id]


async def test_drained_export_is_over_when_the_last_of_its_tokens_is_gone(
    api: Client, storage: StorageClient, settings: Settings, receiver: str, name: str
) -> None:
    await api.delete(f"{receiver}?deleteTopic=true")
    (draining,) = draining_of(api, name)

    await retire(api, settings, draining.export, 1)

    assert draining_of(api, name) == []
    assert tokens_of(storage, name) == []
    await until(lambda: topics_of(settings, name) == [], "the topic gone")


async def test_revision_stays_while_storage_does_not_delete_its_token(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    control: ControlProcess,
    controls: Controls,
    receiver: str,
    name: str,
) -> None:
    await api.delete(receiver)
    (draining,) = draining_of(api, name)
    control.kill()
    impatient = controls.start(task_timeout_seconds=9)
    emulator.fault("status", method="DELETE", path="storage/tokens/", status=503, times=None)

    failed = await retire(api, settings, draining.export, 1)
    still = draining_of(api, name)
    emulator.clear_faults()
    later = await retire(api, settings, draining.export, 1)

    assert failed["status"] == "error"
    assert len(still) == 1
    assert (later["status"], draining_of(api, name), tokens_of(storage, name)) == ("success", [], [])
    impatient.kill()


async def test_token_that_may_not_be_deleted_holds_nothing_back(
    api: Client, emulator: Emulator, settings: Settings, receiver: str, name: str
) -> None:
    await api.delete(receiver)
    (draining,) = draining_of(api, name)
    emulator.fault("status", method="DELETE", path="storage/tokens/", status=403)

    task = await retire(api, settings, draining.export, 1)

    assert task["status"] == "success"
    assert draining_of(api, name) == []
