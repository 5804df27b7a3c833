"""What the sink's ledger says of an export and of its batches.

Source: delivery protocol, rules 7 to 19. Positions are offsets of the rows partition: the next envelope to take.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.model.rows import Source


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a source has been taken: its next offset. Of a replay's source also what it has come to so far."""

    source: Source
    next_offset: int
    rows: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """An open window: rows of one revision for one table that no condition has closed yet.

    `opened_ms` is the broker's time of the first row's envelope, `size_bytes` counts CSV bytes.
    """

    batch_id: str
    revision: int
    table_id: str
    opened_ms: int
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ExportState:
    """A snapshot of the fold over an export's envelopes *as of* `staged_to`.

    Each accepted row before `staged_to` is in exactly one recorded slice, none after it is. Dead letters before
    `dead_letters_to` (never less than `staged_to`) are published. `stopped`: envelopes are missing, and a person must
    look.
    """

    export_uid: str
    staged_to: int = 0
    dead_letters_to: int = 0
    marks: tuple[Mark, ...] = ()
    windows: tuple[Window, ...] = ()
    parked: bool = False
    stopped: bool = False

    @property
    def next_offsets(self) -> dict[Source, int]:
        """The marks, by source."""
        return {mark.source: mark.next_offset for mark in self.marks}


class Phase(StrEnum):
    """A batch's way: open, closing, importing, then imported; or failed (tried again), unclear (a person), expired."""

    OPEN = "open"
    CLOSING = "closing"
    IMPORTING = "importing"
    IMPORTED = "imported"
    FAILED = "failed"
    UNCLEAR = "unclear"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Slice:
    """One uploaded object of a batch's file; its name is unique for each upload."""

    name: str
    rows: int
    csv_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class StagedFile:
    """The Storage file that holds a batch. `upload` is what Storage said of how to write it, as JSON, encrypted.

    `created_ms` is by Storage's clock; `expires_ms` is the end of the upload credentials.
    """

    file_id: str
    created_ms: int
    expires_ms: int
    upload: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST of an import. Settled when `job_id` or `refusal` is known. `started_ms` is the broker's time."""

    file_id: str
    started_ms: int
    job_id: str | None = None
    refusal: str | None = None

    @property
    def settled(self) -> bool:
        return self.job_id is not None or self.refusal is not None


@dataclass(frozen=True, slots=True)
class SourceRange:
    """Source offsets (first to last, both included) between which a batch's rows of one source lie."""

    source: Source
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """One batch: its rows, its file, and how far its import has come. One batch = one file = one run id.

    `expired_ms` is when it expired first, and its dead letter was published. `retry_id` is the task by which a person
    asked for the last retry, `retried_ms` when that was taken up. Times are the broker's.
    """

    export_uid: str
    batch_id: str
    revision: int
    table_id: str
    incremental: bool
    phase: Phase
    opened_ms: int
    run_id: str
    file: StagedFile
    next_file: StagedFile | None = None
    slices: tuple[Slice, ...] = ()
    sources: tuple[SourceRange, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    closed_by: str | None = None
    closed_ms: int | None = None
    failures: int = 0
    retry_ms: int | None = None
    error: str | None = None
    finished_ms: int | None = None
    expired_ms: int | None = None
    retry_id: str | None = None
    retried_ms: int | None = None

    @property
    def attempt_ms(self) -> int:
        """When the last attempt began; 0 before the first."""
        return self.attempts[-1].started_ms if self.attempts else 0

    @property
    def is_retriable(self) -> bool:
        """Whether a person may ask that it is tried again: its last attempt has ended, and not well."""
        return self.phase in (Phase.FAILED, Phase.UNCLEAR, Phase.EXPIRED)

    @property
    def count(self) -> int:
        return sum(part.rows for part in self.slices)
