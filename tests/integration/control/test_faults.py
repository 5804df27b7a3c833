"""Storage refuses, asks to wait, answers after the effect or not at all, at each call that a task makes: what may be
repeated is repeated, nothing is made twice, nothing stays behind, and the task says in words what is wrong.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from buffer_stack import (
    Client,
    Controls,
    assert_in_force,
    assert_nothing_left,
    export_body,
    export_of,
    make_settings,
    tokens_of,
)
from storage_faults import (
    BEYOND,
    BROKEN,
    BROKEN_AFTER,
    CALLS,
    CHANGES,
    CREATE_BUCKET,
    CREATE_TABLE,
    CREATE_TOKEN,
    DELETE_TOKEN,
    LOOK_AT_BUCKET,
    LOOK_AT_TABLE,
    LOOK_AT_TOKENS,
    PASSING,
    REFUSALS,
    SILENT_SECONDS,
    fail,
)

from app.keboola.client import StorageClient
from app.keboola.errors import StorageNotFound
from app.local.storage import Emulator
from app.settings import Settings

pytestmark = pytest.mark.usefixtures("control", "no_secrets")


@pytest.fixture(scope="module")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    """Waits three seconds for an answer, and gives a task 45 s, 30 of them for what it makes."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    return make_settings(kafka, prefix, emulator_process, storage_read_seconds=3, task_timeout_seconds=45)


def body(name: str) -> dict[str, Any]:
    return {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]}


def pauses(controls: Controls, words: str) -> list[str]:
    """The seconds that control said it waits before it tries again to do what the words say."""
    return re.findall(rf"could not {re.escape(words)}, again in ([0-9.]+) s: ", controls.only().log.read_text())


def change_to(table: str) -> dict[str, Any]:
    return {"mapping": {"tableId": table, "columns": [{"name": "raw", "type": "body"}]}}


@pytest.fixture
async def receiver(api: Client, name: str) -> str:
    """The path of a receiver with the export "e"."""
    await api.create("/v1/receivers", body(name))
    return f"/v1/receivers/{name}"


@pytest.mark.parametrize("rule", PASSING)
async def test_trouble_at_the_token_of_a_new_receiver_is_outlasted(
    api: Client, storage: StorageClient, emulator: Emulator, settings: Settings, name: str, rule: dict[str, Any]
) -> None:
    fail(emulator, CREATE_TOKEN, **rule)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["status"] == "success", task["error"]
    assert [rule["used"] for rule in emulator.faults()] == [1]
    await assert_in_force(api, storage, settings, name)


@pytest.mark.parametrize("rule", [BROKEN, BROKEN_AFTER])
async def test_trouble_at_the_bucket_and_the_table_of_a_new_receiver_is_outlasted(
    api: Client, storage: StorageClient, emulator: Emulator, settings: Settings, name: str, rule: dict[str, Any]
) -> None:
    for call in (CREATE_BUCKET, CREATE_TABLE):
        fail(emulator, call, **rule)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["status"] == "success", task["error"]
    assert [rule["used"] for rule in emulator.faults()] == [1, 1]
    await assert_in_force(api, storage, settings, name)


async def test_trouble_at_every_look_up_is_outlasted(
    api: Client, storage: StorageClient, emulator: Emulator, settings: Settings, name: str
) -> None:
    storage.create_bucket("in", name)
    for call in (LOOK_AT_BUCKET, LOOK_AT_TABLE, LOOK_AT_TOKENS):
        fail(emulator, call, status=500)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["status"] == "success", task["error"]
    assert [rule["used"] for rule in emulator.faults()] == [1, 1, 1]
    await assert_in_force(api, storage, settings, name)


@pytest.mark.parametrize(("effect", "status"), [("status", 429), ("status", 503), ("status_after", 503)])
async def test_next_try_waits_as_long_as_storage_asks(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    controls: Controls,
    name: str,
    effect: str,
    status: int,
) -> None:
    fail(emulator, CREATE_BUCKET, effect, status=status, retry_after=1)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["status"] == "success", task["error"]
    assert pauses(controls, f'create the bucket "in.c-{name}"') == ["1.0"]
    await assert_in_force(api, storage, settings, name)


@pytest.mark.parametrize(
    ("status", "call"),
    [
        *((400, call) for call in (CREATE_BUCKET, CREATE_TABLE)),
        *((401, call) for call in (LOOK_AT_BUCKET, CREATE_TABLE)),
        *((403, call) for call in (LOOK_AT_BUCKET, LOOK_AT_TOKENS, LOOK_AT_TABLE, CREATE_TOKEN)),
    ],
)
async def test_refusal_is_not_repeated_and_leaves_nothing(
    api: Client, storage: StorageClient, emulator: Emulator, name: str, status: int, call: tuple[str, str]
) -> None:
    fail(emulator, call, status=status)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert (task["status"], "result" in task, "outputs" in task) == ("error", False, False)
    assert task["error"] == REFUSALS[status].format(call=CALLS[call].format(name=name))
    assert [rule["used"] for rule in emulator.faults()] == [1]
    emulator.clear_faults()
    assert_nothing_left(storage, name)
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 404


@pytest.mark.parametrize("call", [LOOK_AT_TOKENS, CREATE_BUCKET, CREATE_TOKEN, CREATE_TABLE])
async def test_task_ends_at_once_when_storage_asks_for_more_time_than_it_has(
    api: Client, storage: StorageClient, emulator: Emulator, name: str, call: tuple[str, str]
) -> None:
    fail(emulator, call, **BEYOND)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["status"] == "error"
    assert task["error"] == (
        f"Storage did not {CALLS[call].format(name=name)} in time. Storage answered 503: Injected failure. "
        "It asks to wait 600 s."
    )
    assert_nothing_left(storage, name)
    assert (await api.get(f"/v1/receivers/{name}")).status_code == 404


async def test_what_a_lost_answer_hid_is_removed_when_the_task_fails(
    api: Client, storage: StorageClient, emulator: Emulator, name: str
) -> None:
    fail(emulator, CREATE_TOKEN, "status_after", status=504)
    fail(emulator, LOOK_AT_TOKENS, "delay")  # the first look is let pass
    fail(emulator, LOOK_AT_TOKENS, **BEYOND)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["error"] == (
        "Storage did not list the project's tokens in time. Storage answered 503: Injected failure. "
        "It asks to wait 600 s."
    )
    assert [rule["used"] for rule in emulator.faults()] == [1, 1, 1]
    assert_nothing_left(storage, name)


@pytest.mark.long
async def test_storage_that_stays_silent_after_the_effect_ends_the_task_and_keeps_nothing(
    api: Client, storage: StorageClient, emulator: Emulator, name: str
) -> None:
    fail(emulator, CREATE_TOKEN, "delay_after", seconds=SILENT_SECONDS, times=None)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["status"] == "error"
    call = f'create the token of the export "e" for the bucket "in.c-{name}"'
    assert task["error"] == f"Storage did not {call} in time. Storage did not answer within 3 s."
    emulator.clear_faults()
    assert_nothing_left(storage, name)


async def test_what_cannot_be_removed_is_named(
    api: Client, storage: StorageClient, emulator: Emulator, name: str
) -> None:
    fail(emulator, CREATE_TABLE, status=400)
    fail(emulator, DELETE_TOKEN, **BEYOND)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    (token_id,) = tokens_of(storage, name)
    assert task["error"] == (
        f'Storage refused to create the table "in.c-{name}.t": Injected failure.\n'
        f"Not all that was made could be removed: Storage did not delete the token {token_id} in time. "
        "Storage answered 503: Injected failure. It asks to wait 600 s. "
        "Delete in Storage what is there of: the token described as "
        f'"[_internal] Buffer Export e for Receiver {name}", '
        f'the bucket "in.c-{name}".'
    )


async def test_what_a_token_that_died_on_the_way_leaves_is_named(
    api: Client, storage: StorageClient, emulator: Emulator, name: str
) -> None:
    fail(emulator, CREATE_TABLE, status=401)
    fail(emulator, LOOK_AT_TABLE, "delay")  # the first look is let pass
    fail(emulator, LOOK_AT_TABLE, status=401, times=None)

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    (token_id,) = tokens_of(storage, name)
    dead = "Storage no longer accepts the token that the task was started with: Injected failure."
    assert task["error"] == (
        f"{dead}\nNot all that was made could be removed: {dead} Delete in Storage what is there of: "
        f'the table "in.c-{name}.t", the token {token_id}, the bucket "in.c-{name}".'
    )


async def test_token_that_something_repeats_in_its_answer_is_not_in_the_task(
    api: Client, emulator: Emulator, name: str
) -> None:
    fail(emulator, CREATE_BUCKET, status=403, message=f"{emulator.master_token} may not do this")

    task = await api.finished(await api.post("/v1/receivers", body(name)))

    assert task["error"] == f'Storage refused to create the bucket "in.c-{name}": *** may not do this'


async def test_trouble_at_what_another_export_needs_is_outlasted(
    api: Client, storage: StorageClient, emulator: Emulator, settings: Settings, name: str
) -> None:
    await api.create("/v1/receivers", {"name": name})
    for call in CHANGES:
        fail(emulator, call, "status_after", status=504)

    task = await api.finished(await api.post(f"/v1/receivers/{name}/exports", export_body("e", f"in.c-{name}.t")))

    assert task["status"] == "success", task["error"]
    assert [rule["used"] for rule in emulator.faults()] == [1, 1, 1]
    await assert_in_force(api, storage, settings, name)


async def test_trouble_at_what_a_new_mapping_needs_is_outlasted(
    api: Client, storage: StorageClient, emulator: Emulator, receiver: str, name: str
) -> None:
    for call in CHANGES:
        fail(emulator, call, "status_after", status=504)

    task = await api.finished(await api.patch(f"{receiver}/exports/e", change_to(f"in.c-{name}2.t")))

    assert task["status"] == "success", task["error"]
    assert [rule["used"] for rule in emulator.faults()] == [1, 1, 1]
    revisions = export_of(api, name, "e").revisions
    assert [revision.number for revision in revisions] == [1, 2]
    assert sorted(tokens_of(storage, name)) == sorted(revision.token_id for revision in revisions)
    assert list(storage.table_detail(f"in.c-{name}2.t").columns) == ["raw"]


@pytest.mark.parametrize("change", ["export.create", "export.update"])
@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"status": 401}, REFUSALS[401]),
        ({"status": 403}, REFUSALS[403]),
        (BEYOND, "Storage did not {call} in time. Storage answered 503: Injected failure. It asks to wait 600 s."),
    ],
    ids=["401", "403", "503"],
)
async def test_export_that_cannot_be_made_or_changed_leaves_all_as_it_was(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    receiver: str,
    name: str,
    change: str,
    rule: dict[str, Any],
    error: str,
) -> None:
    before = (await api.get(receiver)).json()
    tokens = tokens_of(storage, name)
    fail(emulator, CREATE_TABLE, **rule)

    if change == "export.create":
        answer = await api.post(f"{receiver}/exports", export_body("f", f"in.c-{name}2.t"))
    else:
        answer = await api.patch(f"{receiver}/exports/e", change_to(f"in.c-{name}2.t"))
    task = await api.finished(answer)

    assert (task["type"], task["status"]) == (change, "error")
    assert task["error"] == error.format(call=f'create the table "in.c-{name}2.t"')
    assert (await api.get(receiver)).json() == before
    assert tokens_of(storage, name) == tokens
    with pytest.raises(StorageNotFound):
        storage.bucket_detail(f"in.c-{name}2")
