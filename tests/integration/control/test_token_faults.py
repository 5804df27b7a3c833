"""Refreshing and deleting tokens while Storage refuses, asks to wait, answers after the effect or not at all."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from buffer_stack import (
    Client,
    Controls,
    export_body,
    export_of,
    make_settings,
    tokens_of,
)
from storage_faults import (
    BEYOND,
    BROKEN_AFTER,
    CREATE_TOKEN,
    DELETE_TOKEN,
    LATER,
    LOOK_AT_TOKENS,
    REFRESH_TOKEN,
    REFUSALS,
    SILENT_AFTER,
    fail,
)

from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.settings import Settings

pytestmark = pytest.mark.usefixtures("control", "no_secrets")
IN_DOUBT = " The export may have no valid token until the tokens are refreshed again; its events wait for that."


@pytest.fixture(scope="module")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    """Waits three seconds for an answer, and gives a task 45 s, 30 of them for what it makes."""
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    return make_settings(kafka, prefix, emulator_process, storage_read_seconds=3, task_timeout_seconds=45)


@pytest.fixture
async def receiver(api: Client, name: str) -> str:
    """The path of a receiver with the export "e"."""
    await api.create("/v1/receivers", {"name": name, "exports": [export_body("e", f"in.c-{name}.t")]})
    return f"/v1/receivers/{name}"


async def assert_token_works(api: Client, storage: StorageClient, settings: Settings, name: str) -> None:
    """The export's token, the only one, is in force."""
    export = export_of(api, name, "e")
    assert tokens_of(storage, name) == [export.revision.token_id]
    text = Cipher(settings.encryption_key).decrypt(export.revision.token)
    with StorageClient(settings.storage_api_host, text) as client:
        assert client.verify_token().bucket_permissions == {f"in.c-{name}": "write"}


@pytest.mark.parametrize("rule", [LATER, BROKEN_AFTER, SILENT_AFTER])
async def test_trouble_at_the_refresh_of_a_token_is_outlasted(
    api: Client, storage: StorageClient, emulator: Emulator, settings: Settings, receiver: str, name: str, rule: Any
) -> None:
    fail(emulator, LOOK_AT_TOKENS, status=500)
    fail(emulator, REFRESH_TOKEN, **rule)

    answer = await api.post(f"{receiver}/tokens/refresh", None)

    assert (answer.status_code, answer.json()) == (200, (await api.get(receiver)).json())
    assert [rule["used"] for rule in emulator.faults()] == [1, 1]
    await assert_token_works(api, storage, settings, name)


async def test_trouble_at_a_token_that_is_made_again_leaves_one(
    api: Client, storage: StorageClient, emulator: Emulator, settings: Settings, receiver: str, name: str
) -> None:
    storage.delete_token(export_of(api, name, "e").revision.token_id)
    fail(emulator, CREATE_TOKEN, "status_after", status=504)

    answer = await api.post(f"{receiver}/tokens/refresh", None)

    assert answer.status_code == 200
    assert [rule["used"] for rule in emulator.faults()] == [1]
    await assert_token_works(api, storage, settings, name)


@pytest.mark.parametrize(
    ("rule", "status", "error", "message"),
    [
        ({"status": 401}, 401, "storage.tokenInvalid", REFUSALS[401]),
        ({"status": 403}, 400, "storage.accessDenied", REFUSALS[403]),
        (
            {"status": 429, "retry_after": 600},
            *(504, "buffer.taskFailed"),
            "Storage did not {call} in time. Storage answered 429: Injected failure. It asks to wait 600 s.",
        ),
        (
            {"effect": "status_after", **BEYOND},
            *(504, "buffer.taskFailed"),
            "Storage did not {call} in time. Storage answered 503: Injected failure. It asks to wait 600 s." + IN_DOUBT,
        ),
    ],
    ids=["401", "403", "429", "503 after the effect"],
)
async def test_refresh_that_fails_is_told_to_the_caller_and_can_be_asked_for_again(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    settings: Settings,
    receiver: str,
    name: str,
    rule: dict[str, Any],
    status: int,
    error: str,
    message: str,
) -> None:
    fail(emulator, REFRESH_TOKEN, **rule)

    answer = await api.post(f"{receiver}/tokens/refresh", None)
    again = await api.post(f"{receiver}/tokens/refresh", None)

    assert answer.status_code == status
    shown = answer.json()
    assert (shown["statusCode"], shown["error"]) == (status, error)
    assert shown["message"] == message.format(call='refresh the token of the export "e"')
    assert again.status_code == 200
    await assert_token_works(api, storage, settings, name)


@pytest.mark.parametrize("rule", [LATER, BROKEN_AFTER, SILENT_AFTER])
async def test_trouble_at_the_deletion_of_a_token_is_outlasted(
    api: Client, storage: StorageClient, emulator: Emulator, receiver: str, name: str, rule: dict[str, Any]
) -> None:
    fail(emulator, DELETE_TOKEN, **rule)

    answer = await api.delete(f"{receiver}?discard=true")

    assert (answer.status_code, answer.content) == (200, b"")
    assert [rule["used"] for rule in emulator.faults()] == [1]
    assert tokens_of(storage, name) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"status": 401}, "Storage no longer accepts the token that the task was started with: Injected failure."),
        ({"status": 403}, "Storage refused to delete the token {token}: Injected failure."),
        (
            BEYOND,
            "Storage did not delete the token {token} in time. Storage answered 503: Injected failure. "
            "It asks to wait 600 s.",
        ),
    ],
    ids=["401", "403", "503"],
)
async def test_token_that_is_not_deleted_is_named_in_the_log_and_holds_no_other_back(
    api: Client,
    storage: StorageClient,
    emulator: Emulator,
    controls: Controls,
    receiver: str,
    name: str,
    rule: dict[str, Any],
    words: str,
) -> None:
    await api.create(f"{receiver}/exports", export_body("f", f"in.c-{name}.t"))
    left = export_of(api, name, "e").revision.token_id
    fail(emulator, ("DELETE", f"storage/tokens/{left}$"), **rule)

    answer = await api.delete(f"{receiver}?discard=true")

    assert (answer.status_code, answer.content) == (200, b"")
    assert (await api.get(receiver)).status_code == 404
    assert tokens_of(storage, name) == [left]
    said = f"delete the token {left} by hand: {words.format(token=left)}"
    assert said in controls.only().log.read_text()
