"""The records the emulator keeps: tokens, buckets, tables, files and jobs.

Values only: they know neither the database nor HTTP. Times are aware; `wire_time` writes them as Storage does,
in whole seconds and with an offset without a colon.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Permission = Literal["read", "write"]


class JobStatus(StrEnum):
    """The four states of a job; the last two are final."""

    WAITING = "waiting"
    PROCESSING = "processing"
    SUCCESS = "success"
    ERROR = "error"


class Operation(StrEnum):
    """What a job does, in Storage's names."""

    TABLE_IMPORT = "tableImport"
    TABLE_CREATE = "tableCreate"
    TABLE_DEFINITION_CREATE = "tableDefinitionCreate"
    TABLE_DELETE = "tableDelete"
    BUCKET_DELETE = "bucketDelete"
    FILE_DELETE = "fileDelete"


class Record(BaseModel):
    """Base of all records: immutable, and strict about unknown fields so that a typing slip is seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Token(Record):
    """An access token. The secret itself is not kept, only its SHA-256."""

    id: int
    secret_sha256: str
    description: str
    created: datetime
    refreshed: datetime
    expires: datetime | None = None
    is_master: bool = False
    can_manage_buckets: bool = False
    can_manage_tokens: bool = False
    can_read_all_file_uploads: bool = False
    bucket_permissions: dict[str, Permission] = {}
    creator_id: int | None = None

    def is_expired(self, now: datetime) -> bool:
        """Say whether the token's life is over at `now`."""
        return self.expires is not None and self.expires <= now


class Bucket(Record):
    """A bucket: a schema of the DuckDB file."""

    id: str
    name: str
    display_name: str
    stage: str
    description: str
    created: datetime


class Table(Record):
    """A table of a bucket. Its columns are in table order; its rows are in DuckDB."""

    id: str
    bucket_id: str
    name: str
    columns: tuple[str, ...]
    primary_key: tuple[str, ...]
    is_typed: bool
    created: datetime
    last_import: datetime | None = None


class StoredFile(Record):
    """A file resource. The bytes are objects in S3 at `key` (a sliced file: at `key` + slice name)."""

    id: int
    name: str
    key: str
    created: datetime
    size_bytes: int | None
    is_sliced: bool
    is_encrypted: bool
    is_permanent: bool
    tags: tuple[str, ...]
    run_id: str | None
    token_id: int


class JobFault(Record):
    """What a fault rule wants to happen to a job (see `app.local.storage.faults`)."""

    error_code: str | None = None
    error_message: str = "Injected failure."
    after_load: bool = False
    delay_seconds: float = 0


class JobError(Record):
    """Why a job ended in `error`."""

    code: str
    message: str
    exception_id: str


class Job(Record):
    """An asynchronous job. `target` is the table or bucket that the job writes to: one job of a target at a time."""

    id: int
    operation: Operation
    status: JobStatus
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    target: str
    table_id: str | None
    params: dict[str, Any]
    file_id: int | None = None
    run_id: str | None = None
    token_id: int
    token_description: str
    results: dict[str, Any] | None = None
    error: JobError | None = None
    fault: JobFault | None = None

    @property
    def is_final(self) -> bool:
        """Say whether the job has ended."""
        return self.status in (JobStatus.SUCCESS, JobStatus.ERROR)


def now() -> datetime:
    """Give the emulator's time: UTC."""
    return datetime.now(UTC)


def wire_time(at: datetime | None) -> str | None:
    """Write a time as Storage does: `2026-11-23T10:34:45+0000`."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S%z")
