"""Batches as the API shows them: all that helps a person, and no upload credentials."""

from __future__ import annotations

from app.api.answers import Answer
from app.model.ledger import Attempt, BatchRecord, SourceRange
from app.model.receiver import Revision
from app.model.replay import mapping_number
from app.model.task import iso_time


class BatchAttemptAnswer(Answer):
    """Neither `job_id` nor `refusal` while it is not known what became of it."""

    started_at: str
    file_id: str
    job_id: str | None = None
    refusal: str | None = None


class BatchSourceAnswer(Answer):
    topic_id: str
    partition: int
    lane: str
    first: int
    last: int


class BatchAnswer(Answer):
    id: str
    phase: str
    revision: int
    table_id: str
    incremental: bool
    rows: int
    csv_bytes: int
    stored_bytes: int
    slices: int
    sources: list[BatchSourceAnswer]
    opened_at: str
    closed_at: str | None = None
    closed_by: str | None = None
    file_id: str
    run_id: str
    attempts: list[BatchAttemptAnswer]
    failures: int
    error: str | None = None
    retry_at: str | None = None
    retried_at: str | None = None
    expired_at: str | None = None
    imported_at: str | None = None


class BatchesAnswer(Answer):
    batches: list[BatchAnswer]
    has_more: bool


class BatchSliceAnswer(Answer):
    name: str
    rows: int
    csv_bytes: int
    stored_bytes: int


class BatchFileAnswer(Answer):
    """`columns` is not there when the mapping is forgotten, which only that of an imported batch is."""

    file_id: str
    columns: list[str] | None = None
    slices: list[BatchSliceAnswer]


def show_file(record: BatchRecord, revision: Revision | None) -> BatchFileAnswer:
    return BatchFileAnswer(
        file_id=record.file.file_id,
        columns=None if revision is None else revision.mapping.column_names,
        slices=[
            BatchSliceAnswer(name=part.name, rows=part.rows, csv_bytes=part.csv_bytes, stored_bytes=part.stored_bytes)
            for part in record.slices
        ],
    )


def show_batch(record: BatchRecord) -> BatchAnswer:
    return BatchAnswer(
        id=record.batch_id,
        phase=record.phase.value,
        revision=mapping_number(record.revision),
        table_id=record.table_id,
        incremental=record.incremental,
        rows=record.count,
        csv_bytes=sum(part.csv_bytes for part in record.slices),
        stored_bytes=sum(part.stored_bytes for part in record.slices),
        slices=len(record.slices),
        sources=[_source(part) for part in record.sources],
        opened_at=iso_time(record.opened_ms),
        closed_at=_time(record.closed_ms),
        closed_by=record.closed_by,
        file_id=record.file.file_id,
        run_id=record.run_id,
        attempts=[_attempt(attempt) for attempt in record.attempts],
        failures=record.failures,
        error=record.error,
        retry_at=_time(record.retry_ms),
        retried_at=_time(record.retried_ms),
        expired_at=_time(record.expired_ms),
        imported_at=_time(record.finished_ms),
    )


def _attempt(attempt: Attempt) -> BatchAttemptAnswer:
    return BatchAttemptAnswer(
        started_at=iso_time(attempt.started_ms),
        file_id=attempt.file_id,
        job_id=attempt.job_id,
        refusal=attempt.refusal,
    )


def _source(part: SourceRange) -> BatchSourceAnswer:
    source = part.source
    return BatchSourceAnswer(
        topic_id=source.topic_id, partition=source.partition, lane=source.lane, first=part.first, last=part.last
    )


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso_time(milliseconds)
