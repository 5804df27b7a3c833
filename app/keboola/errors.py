"""Errors of Keboola Storage, with the retry decision in the type.

`StorageRefused`: Storage said no; nothing was done; the same call will be refused again. `StorageUnavailable`: Storage
could not be asked; nothing was done; try later. `StorageUnclear`: a call that changes something went out and its answer
did not come; it may have happened, so look before doing it again.
"""

from __future__ import annotations

from app.model.errors import StreamsError


class StorageError(StreamsError):
    """Anything that went wrong between us and Storage."""

    name = "storage.error"
    status = 502


class StorageRefused(StorageError):
    """Storage refused the call (4xx). `code` is Storage's string, `http_status` what it answered with."""

    name = "storage.refused"

    def __init__(self, message: str, *, code: str = "", http_status: int = 0, exception_id: str = "") -> None:
        known = ", ".join(part for part in (code, exception_id) if part)
        super().__init__(f"Storage refused: {message}{f' ({known})' if known else ''}")
        self.reason = message
        self.code = code
        self.http_status = http_status
        self.exception_id = exception_id


class StorageTokenInvalid(StorageRefused):
    """The token is unknown, expired or deleted (401)."""

    name = "storage.tokenInvalid"
    status = 401


class StorageAccessDenied(StorageRefused):
    """The token is valid but may not do this (403)."""

    name = "storage.accessDenied"
    status = 403


class StorageNotFound(StorageRefused):
    """What the call names does not exist (404)."""

    name = "storage.notFound"
    status = 404


class StorageJobFailed(StorageRefused):
    """A job that we waited for ended in `error`; `code` says why. It was all or nothing unless `code` is unknown."""

    name = "storage.jobFailed"


class StorageTrouble(StorageError):
    """Storage did not do it, or did not say so. `reason` is a sentence that a person understands;
    `retry_after_seconds` what Storage asked for, if it did.
    """

    status = 503

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class StorageUnavailable(StorageTrouble):
    """Storage could not be asked and nothing was done."""

    name = "storage.unavailable"


class StorageUnclear(StorageTrouble):
    """The answer to a call that changes something was lost: it may have happened. Look before doing it again."""

    name = "storage.unclear"

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason, retry_after_seconds)
        self.message = f"{reason} The call may have been carried out."
        self.args = (self.message,)


def upload_error(cloud: str, name: str, status: int, code: str, *, busy: bool = False) -> StorageError:
    """What a cloud's answer to an upload or download of `name` means.

    `code` is the cloud's own; `busy` says that it asks by it to try again.
    """
    if 400 <= status < 500 and status not in (408, 429) and not busy:
        kind = StorageNotFound if status == 404 else StorageAccessDenied
        return kind(f"{cloud} refused {name} with {status}", code=code, http_status=status)
    return StorageUnavailable(f"{cloud} could not handle {name}: {status} {code}".rstrip())
