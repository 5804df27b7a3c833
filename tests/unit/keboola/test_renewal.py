"""When Google's upload credentials are renewed, and what happens when they cannot be."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from app.keboola import renewal
from app.keboola.answers import PreparedFile
from app.keboola.errors import StorageError, StorageRefused, StorageUnavailable, StorageUnclear
from app.keboola.renewal import Renewals

HOUR = 3600


def prepared(age_seconds: int, provider: str = "gcp", file_id: int = 1) -> PreparedFile:
    """A file made so long ago, with the token `first`."""
    made = datetime.now(UTC) - timedelta(seconds=age_seconds)
    params = {"bucket": "b", "access_token": "first", "expires_in": HOUR}
    return PreparedFile(file_id, "n", made, provider, "r", True, made + timedelta(hours=12), params)


@dataclass
class Storage:
    """Renews credentials, or fails to; counts how often it was asked."""

    lives_seconds: int = HOUR
    error: StorageError | None = None
    asked: int = 0

    def __call__(self) -> PreparedFile:
        self.asked += 1
        if self.error:
            raise self.error
        made = datetime.now(UTC)
        params = {"access_token": f"renewed {self.asked}", "expires_in": self.lives_seconds}
        return PreparedFile(1, "n", made, "gcp", "r", True, made, params)


def token(file: PreparedFile) -> str:
    return str(file.params["access_token"])


def test_credentials_with_time_left_are_used() -> None:
    storage = Storage()

    used = Renewals().current(prepared(HOUR // 2), storage)

    assert (token(used), storage.asked) == ("first", 0)


@pytest.mark.parametrize("age_seconds", [HOUR - renewal.MARGIN_SECONDS + 5, HOUR + 5, 11 * HOUR])
def test_credentials_that_end_soon_or_have_ended_are_renewed_once(age_seconds: int) -> None:
    renewals, file, storage = Renewals(), prepared(age_seconds), Storage()

    used = [renewals.current(file, storage) for _ in range(3)]

    assert [token(each) for each in used] == ["renewed 1"] * 3
    assert used[0].params["bucket"] == "b"
    assert used[0].expires == file.expires


def test_renewed_credentials_are_renewed_again_when_they_end() -> None:
    renewals, file, storage = Renewals(), prepared(2 * HOUR), Storage(lives_seconds=renewal.MARGIN_SECONDS - 1)

    used = [token(renewals.current(file, storage)) for _ in range(2)]

    assert used == ["renewed 1", "renewed 2"]


def test_credentials_are_used_to_their_end_while_storage_is_away() -> None:
    storage = Storage(error=StorageUnavailable("away"))

    used = Renewals().current(prepared(HOUR - 60), storage)

    assert (token(used), storage.asked) == ("first", 1)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (StorageUnavailable("away"), StorageUnavailable),
        (StorageUnclear("lost"), StorageUnavailable),
        (StorageRefused("too old", http_status=422), StorageRefused),
    ],
)
def test_ended_credentials_that_cannot_be_renewed_stop_the_upload(
    error: StorageError, raised: type[StorageError]
) -> None:
    with pytest.raises(raised):
        Renewals().current(prepared(HOUR + 1), Storage(error=error))


def test_other_clouds_credentials_are_left_alone() -> None:
    storage = Storage()

    used = Renewals().current(prepared(13 * HOUR, "aws"), storage)

    assert (token(used), storage.asked) == ("first", 0)


def test_refused_credentials_are_renewed_whatever_the_clock_says() -> None:
    renewals, file, storage = Renewals(), prepared(0), Storage()

    used = renewals.after_refusal(file, file, storage)

    assert [token(used), token(renewals.current(file, storage))] == ["renewed 1"] * 2


def test_uploads_that_are_refused_together_renew_once() -> None:
    renewals, file, storage, start = Renewals(), prepared(0), Storage(), threading.Barrier(4)

    def refused(_: int) -> PreparedFile:
        start.wait()
        return renewals.after_refusal(file, file, storage)

    with ThreadPoolExecutor(4) as threads:
        used = list(threads.map(refused, range(4)))

    assert [token(each) for each in used] == ["renewed 1"] * 4


def test_credentials_of_few_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "MAX_RENEWED_FILES", 2)
    renewals, storage = Renewals(), Storage()

    for file_id in (1, 2, 3, 3, 2, 1):
        renewals.current(prepared(2 * HOUR, file_id=file_id), storage)

    assert storage.asked == 4
