"""What to do next about one batch's import. Pure: the batch's record and what was seen in, one action out.

One batch is one file and one run id. A POST is made once for each attempt, right after the ledger has the attempt;
while it is not known what became of an attempt (no answer, a restart), the same file is never posted again: jobs are
looked up, and if none is found in the grace period the slices are copied to a second file, the first is deleted so that
a late POST must fail, and jobs are looked up once more. A batch that has failed for too long expires, but never while
it is not known what became of an attempt. Source: delivery protocol, rules 13 to 19.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from app.model.ledger import Attempt, BatchRecord, Phase, StagedFile
from app.model.receiver import BatchRetry

_MOST_REFUSALS = 20
"""Attempts without a job that a record keeps: it must fit a message, and Storage may refuse every 10 s for days."""
_REASON_CHARACTERS = 2000
TERMINAL = frozenset({Phase.IMPORTED, Phase.UNCLEAR, Phase.EXPIRED})


class Act(StrEnum):
    """What the shell has to do. Only `BEGIN` and `DELETE_FIRST` lead to a POST, to one at most."""

    NONE = "none"
    BEGIN = "begin"
    """Write the manifest, then record the attempt (`begun`), then POST."""
    LOOK_UP = "look_up"
    """List jobs of this file; then `adopted`, or look again until the grace period is over."""
    REFILE = "refile"
    """Copy the slices to a new file with its manifest, then record that in the place of the first (`refiled`)."""
    COPY = "copy"
    """Copy the slices to a second file with its manifest, then record it (`copied`)."""
    DELETE_FIRST = "delete_first"
    """Delete the first file, then look up once more; then `adopted`, or `moved` and POST the second file."""
    POLL = "poll"
    """Ask for the job's state until it has ended; then `imported` or `job_failed`."""
    WAIT = "wait"
    """Not before `retry_ms`."""
    EXPIRE = "expire"
    """Give up: record it (`expired`) together with the batch's dead letter."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """Pauses between attempts: `first_ms`, then times `factor` each time, up to `cap_ms`."""

    first_ms: int
    factor: float
    cap_ms: int

    def pause_ms(self, failures: int, jitter: float) -> int:
        """The pause after this many failures (1 or more); `jitter` from 0 to 1 takes away up to a fifth."""
        try:
            pause = min(self.first_ms * self.factor ** (failures - 1), self.cap_ms)
        except OverflowError:
            pause = self.cap_ms
        return int(pause * (1 - 0.2 * jitter))


def next_act(
    record: BatchRecord,
    now_ms: int,
    *,
    grace_over: bool,
    expiry_ms: int,
    tried: bool = False,
    locked: bool = False,
) -> Act:
    """The next action for this record. `grace_over`: jobs have been looked for long enough since the attempt.
    `locked`: nothing can be written to its file any more (see `is_locked`).

    `expiry_ms` is how long a batch may fail. It expires only after it was tried, however long it waited before: when
    it has failed and waits to be tried again, or (`tried`) when an attempt could not even begin.
    """
    if record.phase in (Phase.CLOSING, Phase.FAILED):
        due = record.phase is Phase.CLOSING or record.retry_ms is None or now_ms >= record.retry_ms
        if (tried or not due) and now_ms - _waiting_since(record) >= expiry_ms:
            return Act.EXPIRE
        if due and locked and not record.attempts:
            return Act.REFILE
        return Act.BEGIN if due else Act.WAIT
    if record.phase is not Phase.IMPORTING:
        return Act.NONE
    attempt = record.attempts[-1]
    if attempt.job_id is not None:
        return Act.POLL
    if record.next_file is not None:
        return Act.DELETE_FIRST
    return Act.COPY if grace_over else Act.LOOK_UP


def needs_manifest(record: BatchRecord) -> bool:
    """Whether the file's manifest is to be written before the attempt. It is there since before the first one, in a
    second file too; and later on the upload credentials may have ended.
    """
    return not record.attempts


def is_locked(file: StagedFile, now_ms: int, http_status: int) -> bool:
    """Whether a refused upload means that the file's credentials have ended: for good, a sliced file gets no others.

    By the clock, and any refusal (4xx; 0 is one of our own): S3 answers 400 (`ExpiredToken`), Azure 403, Google 401,
    and Storage 422 where it renews Google's no more. Before their end clouds answer so for other reasons, and each
    would make another file.
    """
    return 400 <= http_status < 500 and now_ms >= file.expires_ms


def refiled(record: BatchRecord, file: StagedFile) -> BatchRecord:
    """The slices are in this file too. The one before was never posted, so nothing can come of it any more."""
    if record.attempts:
        raise RuntimeError(f"batch {record.batch_id}: its file was posted, it must not be replaced just so")
    return replace(record, file=file)


def begun(record: BatchRecord, now_ms: int) -> BatchRecord:
    """The record that must be in the ledger before the POST. Refuses while an earlier attempt is not settled."""
    if record.attempts and not record.attempts[-1].settled:
        raise RuntimeError(f"batch {record.batch_id}: an attempt is not settled, the file must not be posted again")
    attempt = Attempt(record.file.file_id, now_ms)
    return replace(record, phase=Phase.IMPORTING, attempts=(*_kept(record.attempts), attempt), retry_ms=None)


def adopted(record: BatchRecord, job_id: str) -> BatchRecord:
    """The attempt is settled: this job is its effect. A second file is kept: the first may be deleted by now."""
    return replace(record, attempts=(*record.attempts[:-1], replace(record.attempts[-1], job_id=job_id)))


def refused(record: BatchRecord, reason: str, retry_ms: int) -> BatchRecord:
    """Storage answered the POST with a refusal (4xx): no job was made, and none will be."""
    reason = reason[:_REASON_CHARACTERS]
    settled = replace(record.attempts[-1], refusal=reason)
    return _failed(replace(record, attempts=(*record.attempts[:-1], settled)), reason, retry_ms)


def copied(record: BatchRecord, second: StagedFile) -> BatchRecord:
    """The slices are in a second file too, which the ledger must know before the first is deleted."""
    return replace(record, next_file=second)


def moved(record: BatchRecord, now_ms: int) -> BatchRecord:
    """The first file is deleted and no job of it was found: the second takes its place, with an attempt of its own."""
    if record.next_file is None:
        raise RuntimeError(f"batch {record.batch_id} has no second file")
    given_up = replace(record.attempts[-1], refusal="no job was found and its file was deleted")
    attempt = Attempt(record.next_file.file_id, now_ms)
    return replace(record, file=record.next_file, next_file=None, attempts=(*record.attempts[:-1], given_up, attempt))


def imported(record: BatchRecord, now_ms: int) -> BatchRecord:
    return replace(record, phase=Phase.IMPORTED, next_file=None, error=None, finished_ms=now_ms)


def job_failed(record: BatchRecord, code: str | None, message: str, *, has_key: bool, retry_ms: int) -> BatchRecord:
    """The job ended in error.

    With a validation code nothing was loaded, so it is tried again when mended; of another kind, only where a second
    load would do no harm (a primary key, or a full load). Else a person must look (rule 16).
    """
    message = message[:_REASON_CHARACTERS]
    text = f"{message} ({code})" if code else message
    if _loaded_nothing(code) or has_key or not record.incremental:
        return _failed(record, text, retry_ms)
    return replace(record, phase=Phase.UNCLEAR, error=text, failures=record.failures + 1)


def expired(record: BatchRecord, reason: str | None, now_ms: int) -> BatchRecord:
    """Given up, with the reason kept, or `reason` where there is none yet. `expired_ms` is when that was first."""
    if record.attempts and not record.attempts[-1].settled:
        raise RuntimeError(f"batch {record.batch_id}: an attempt is not settled, the batch must not expire")
    error = record.error or reason
    return replace(record, phase=Phase.EXPIRED, retry_ms=None, error=error, expired_ms=record.expired_ms or now_ms)


def asked_for(record: BatchRecord, retries: Iterable[BatchRetry]) -> BatchRetry | None:
    """The request to try this batch again that is to be taken up: one that was not, made when the batch was as it is
    now. What a person decided of an earlier attempt says nothing of a later one.
    """
    if not record.is_retriable:
        return None
    return next((retry for retry in retries if _fits(retry, record) and retry.task_id != record.retry_id), None)


def retried(record: BatchRecord, retry: BatchRetry, now_ms: int) -> BatchRecord:
    """To be tried again now, as a person asked. The time to expiry is new."""
    return replace(_to_try_again(record, now_ms), retry_id=retry.task_id, retried_ms=now_ms)


def known_jobs(record: BatchRecord) -> frozenset[str]:
    """Jobs of earlier attempts; a look-up must not match them (rule 14)."""
    return frozenset(attempt.job_id for attempt in record.attempts if attempt.job_id is not None)


def in_order(batches: Iterable[BatchRecord]) -> list[BatchRecord]:
    """Batches in the order in which they must be imported: by revision, then by age (rule 17)."""
    return sorted(batches, key=lambda batch: (batch.revision, batch.batch_id))


def _fits(retry: BatchRetry, record: BatchRecord) -> bool:
    return (retry.batch_id, retry.attempt_ms) == (record.batch_id, record.attempt_ms)


def _kept(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """All with a job, which must not be taken for a later attempt's, and the last ones without."""
    refusals = [attempt for attempt in attempts if attempt.job_id is None]
    spare = set(map(id, refusals[: max(0, len(refusals) - _MOST_REFUSALS)]))
    return tuple(attempt for attempt in attempts if id(attempt) not in spare)


def _waiting_since(record: BatchRecord) -> int:
    """From when on the time to expiry counts: the end of the window, or the last retry by hand."""
    return max(record.closed_ms or record.opened_ms, record.retried_ms or 0)


def _loaded_nothing(code: str | None) -> bool:
    """Source: storage-api, job-level codes of validation."""
    return code is not None and code.startswith(("csvImport.", "storage.", "invalidCsv"))


def _failed(record: BatchRecord, reason: str, retry_ms: int) -> BatchRecord:
    return replace(_to_try_again(record, retry_ms), error=reason, failures=record.failures + 1)


def _to_try_again(record: BatchRecord, retry_ms: int) -> BatchRecord:
    """From the second file if there is one, because the first may be deleted."""
    return replace(record, phase=Phase.FAILED, file=record.next_file or record.file, next_file=None, retry_ms=retry_ms)
