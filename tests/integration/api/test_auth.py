"""What a caller gets when Storage refuses the token, cannot be asked, or does not answer; what is remembered."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from buffer_stack import api_client

from app.api.auth import TokenVerifier
from app.keboola.errors import StorageUnavailable
from app.local.storage import Emulator
from app.model.errors import StreamsError
from app.settings import Settings

VERIFY = "tokens/verify$"


@pytest.fixture(scope="module", autouse=True)
def control() -> None:
    """Nothing here needs a control process."""


@pytest.mark.parametrize(
    ("rule", "status", "error", "message", "retry_after"),
    [
        (
            {"status": 401, "code": "storage.tokenInvalid", "message": "Invalid access token"},
            *(401, "storage.tokenInvalid", "Invalid access token.", None),
        ),
        (
            {"status": 403, "code": "accessDenied", "message": "The project is disabled"},
            *(401, "storage.accessDenied", "Storage does not let the token in: The project is disabled.", None),
        ),
        (
            {"status": 404, "code": "notFound", "message": "No such page"},
            *(503, "storage.unavailable", "Storage does not verify tokens at this address: No such page.", None),
        ),
        (
            {"status": 429, "retry_after": 7},
            *(503, "storage.unavailable"),
            *("Storage did not verify the token. Storage answered 429: Injected failure.", "7"),
        ),
        (
            {"status": 500},
            *(503, "storage.unavailable"),
            *("Storage did not verify the token. Storage answered 500: Injected failure.", None),
        ),
        (
            {"status": 503, "retry_after": 559},
            *(503, "storage.unavailable"),
            *("Storage did not verify the token. Storage answered 503: Injected failure.", "559"),
        ),
        (
            {"effect": "delay", "seconds": 600},
            *(503, "storage.unavailable"),
            *("Storage did not verify the token. Storage did not answer within 2 s.", None),
        ),
    ],
    ids=["401", "403", "404", "429", "500", "503", "silence"],
)
async def test_trouble_with_the_verification_is_told_to_the_caller(
    settings: Settings,
    emulator: Emulator,
    rule: dict[str, Any],
    status: int,
    error: str,
    message: str,
    retry_after: str | None,
) -> None:
    rule = {"effect": "status", "path": VERIFY, **rule}
    patience = 2 if rule["effect"] == "delay" else 60
    patient = settings.model_copy(update={"storage_read_seconds": patience})
    emulator.fault(**rule)

    async with api_client(patient, emulator.master_token) as client:
        answer = await client.get("/v1/receivers")

    assert [rule["used"] for rule in emulator.faults()] == [1]
    assert answer.status_code == status
    shown = answer.json()
    assert (shown["statusCode"], shown["error"], shown["message"]) == (status, error, message)
    assert answer.headers.get("Retry-After") == retry_after


async def test_token_that_something_repeats_in_its_answer_is_not_shown(settings: Settings, emulator: Emulator) -> None:
    token = emulator.master_token
    emulator.fault("status", path=VERIFY, status=401, message=f'The token "{token}" is blocked')

    async with api_client(settings, token) as client:
        answer = await client.get("/v1/receivers")

    assert answer.json()["message"] == 'The token "***" is blocked.'


async def test_refused_token_is_asked_for_again(settings: Settings, emulator: Emulator) -> None:
    emulator.fault("status", path=VERIFY, status=401)

    async with api_client(settings, emulator.master_token) as client:
        answers = [await client.get("/v1/receivers") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [401, 200]


async def test_verified_token_works_without_storage_for_as_long_as_the_setting_says(
    settings: Settings, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr("app.api.auth.time", clock)
    verifier = TokenVerifier(settings.model_copy(update={"token_cache_seconds": 30}))
    first = await verifier.identify(emulator.master_token)
    emulator.fault("status", path=VERIFY, status=503, times=None)

    clock.monotonic = lambda: 1029.9
    remembered = await verifier.identify(emulator.master_token)
    clock.monotonic = lambda: 1030.1
    with pytest.raises(StorageUnavailable):
        await verifier.identify(emulator.master_token)

    assert remembered == first


async def test_remembered_token_lets_no_other_token_in(settings: Settings, emulator: Emulator) -> None:
    verifier = TokenVerifier(settings)
    await verifier.identify(emulator.master_token)
    emulator.fault("status", path=VERIFY, status=503, times=None)

    with pytest.raises(StreamsError):
        await verifier.identify(emulator.master_token + "x")
