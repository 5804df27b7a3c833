"""What passes between an export's fold and those who carry out its steps: rows to upload, what the ledger gets.

Pure. Source: delivery protocol, rule 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.model.ledger import BatchRecord, ExportState, Phase, Slice, SourceRange, StagedFile, Window
from app.model.rows import FailedEvent, Source


@dataclass(slots=True)
class Part:
    """Rows of one batch that are not in a recorded slice yet."""

    window: Window
    csv: list[bytes] = field(default_factory=list)
    rows: int = 0
    size_bytes: int = 0
    ranges: dict[Source, tuple[int, int]] = field(default_factory=dict)

    def add(self, csv: bytes, rows: int, source: Source, first: int, last: int) -> None:
        self.csv.append(csv)
        self.rows += rows
        self.size_bytes += len(csv)
        self.ranges[source] = (self.ranges.get(source, (first, last))[0], last)


@dataclass(frozen=True, slots=True)
class PendingFailure:
    """A failure that is not published yet, with the rows offset of its envelope."""

    position: int
    revision: int
    source: Source
    event: FailedEvent


@dataclass(frozen=True, slots=True)
class Step:
    """Everything of an export before the rows offset `state.staged_to` that was not in an earlier step.

    `state` is the snapshot as of that place; `closed` maps the batches that end with this step to the reason.
    """

    state: ExportState
    parts: Mapping[str, Part]
    closed: Mapping[str, str]
    first: int | None
    """Rows offset of the first envelope of this step; None when no envelope changed anything."""


@dataclass(frozen=True, slots=True)
class LedgerWrite:
    """What goes into the ledger in one transaction."""

    state: ExportState
    batches: tuple[BatchRecord, ...] = ()
    failures: tuple[PendingFailure, ...] = ()
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class StagedPart:
    """A part that was uploaded: the file it went to and the slice that it is."""

    file: StagedFile
    run_id: str
    incremental: bool
    slice: Slice


def with_slice(record: BatchRecord | None, export_uid: str, part: Part, staged: StagedPart) -> BatchRecord:
    """The batch's record with one more slice; a new record when this is its first. The slices before are in the
    part's file too, where that is another one.
    """
    window = part.window
    record = record or BatchRecord(
        export_uid,
        window.batch_id,
        window.revision,
        window.table_id,
        staged.incremental,
        Phase.OPEN,
        window.opened_ms,
        staged.run_id,
        staged.file,
    )
    ranges = {item.source: (item.first, item.last) for item in record.sources}
    for source, (first, last) in part.ranges.items():
        ranges[source] = (ranges.get(source, (first, last))[0], last)
    return replace(
        record,
        file=staged.file,
        slices=(*record.slices, staged.slice),
        sources=tuple(SourceRange(source, first, last) for source, (first, last) in sorted(ranges.items())),
    )
