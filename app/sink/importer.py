"""Carries one export's batches into its table, one after the other, as `importing` decides.

Every decision is in the ledger before it is acted on. The POST of an import is made once, straight after the attempt
was recorded by this very owner; all else can be repeated (delivery protocol, rules 13 to 19).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from app.kafka.names import Names
from app.keboola.answers import Job, JobStatus
from app.keboola.errors import StorageError, StorageRefused, StorageUnavailable
from app.model.ledger import BatchRecord, Phase
from app.model.receiver import BatchRetry, Export
from app.model.replay import ReplayingExport
from app.settings import Settings
from app.sink import importing
from app.sink.clock import BrokerClock
from app.sink.events import StorageEvent, import_done, import_failed
from app.sink.exchange import Exchange
from app.sink.expiry import letter_of_batch, source_topic
from app.sink.fault_points import Point, reach
from app.sink.importing import Act, RetryPlan
from app.sink.ledger import Ledger
from app.sink.observe import Counters
from app.sink.slots import ImportSlot

_log = logging.getLogger(__name__)
_jitter = random.SystemRandom()
_FIRST_POLL_SECONDS = 0.05
_LAST_POLL_SECONDS = 3.0
_LOOK_SECONDS = 1.0
_LOCKED = "the upload credentials of the one before have ended"


class Importer:
    """Imports batches of one export. `import_batch` returns the record in a terminal phase."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        clock: BrokerClock,
        counters: Counters,
        export: Callable[[], ReplayingExport],
        topic_name: Callable[[str], str | None] = lambda _topic_id: None,
    ) -> None:
        """`topic_name` gives the name of the topic with this id, if it is known."""
        self._topic_name = topic_name
        self._settings, self._exchange, self._ledger = settings, exchange, ledger
        self._clock, self._counters, self._export = clock, counters, export
        self._retries = RetryPlan(
            int(settings.retry_first_seconds * 1000), settings.retry_factor, int(settings.retry_cap_seconds * 1000)
        )
        self._expiry_ms = int(settings.batch_expiry_hours * 3_600_000)
        self._posted_with: bytes | None = None
        """The token, encrypted, of the last POST."""
        self._witness: Job | None = None
        """A job of this export known to exist: a look-up that does not show it shows nothing (rule 14)."""

    async def import_batch(self, record: BatchRecord, recorded: Callable[[BatchRecord], None]) -> BatchRecord:
        """Go on from where the record is until it is in a terminal phase; `recorded` is told of each ledger write.

        Storage being away only makes it take longer.
        """
        slot = self._exchange.import_slot(self._export(), record)
        try:
            return await self._drive(record, recorded, slot)
        finally:
            slot.release()

    async def take_up(
        self, record: BatchRecord, retry: BatchRetry, recorded: Callable[[BatchRecord], None]
    ) -> BatchRecord:
        """Record that the batch is to be tried again, as a person asked."""
        _log.info("%s batch %s is tried again by task %s", self._name(), record.batch_id, retry.task_id)
        return await self._record(importing.retried(record, retry, self._clock.now_ms()), recorded)

    async def _drive(
        self, record: BatchRecord, recorded: Callable[[BatchRecord], None], slot: ImportSlot
    ) -> BatchRecord:
        searched_since: float | None = None
        pauses = Backoff()
        trouble: StorageError | None = None
        locked = False
        while record.phase not in importing.TERMINAL:
            retry = importing.asked_for(record, self._export().retries)
            if retry is not None:
                record, trouble = await self.take_up(record, retry, recorded), None
            grace = self._settings.import_grace_seconds * (1 if self._witness else 2)
            grace_over = searched_since is not None and time.monotonic() - searched_since >= grace
            act = importing.next_act(
                record,
                self._clock.now_ms(),
                grace_over=grace_over,
                expiry_ms=self._expiry_ms,
                tried=trouble is not None,
                locked=locked,
            )
            if act is Act.EXPIRE:
                return await self._expire(record, recorded, trouble)
            if act is Act.WAIT:
                slot.release()
                if not await self._wait(record):
                    continue
                act = Act.BEGIN
            await slot.acquire()
            if act is Act.LOOK_UP and searched_since is None:
                searched_since = time.monotonic()
            try:
                following = await self._carry_out(act, record)
            except StorageError as error:
                _log.warning("%s batch %s: %s: %s; trying again", self._name(), record.batch_id, act, error)
                self._counters.storage_retries += 1
                trouble = error
                if isinstance(error, StorageRefused) and act is Act.BEGIN:
                    locked = importing.is_locked(record.file, self._clock.now_ms(), error.http_status)
                slot.release()  # others of the project, or of the table, may go on meanwhile
                await pauses.wait()
                continue
            if following is None:
                slot.release()
                await pauses.wait()
                continue
            pauses, searched_since, trouble, locked = Backoff(), None, None, False
            record = await self._record(following, recorded)
            if (point := _recorded(act, record)) is not None:
                reach(point)
            if act is Act.REFILE:
                _log.warning(
                    "%s batch %s is in file %s now: %s", self._name(), record.batch_id, record.file.file_id, _LOCKED
                )
            if act in (Act.BEGIN, Act.DELETE_FIRST) and not record.attempts[-1].settled:
                record = await self._post(record, recorded)
        return record

    async def _wait(self, record: BatchRecord) -> bool:
        """A moment; whether the token has been refreshed meanwhile: the old one may be what was refused."""
        refused = self._posted_with or self._export().of_revision(record.revision).token
        left_ms = (record.retry_ms or 0) - self._clock.now_ms()
        await asyncio.sleep(min(max(left_ms, 0) / 1000, _LOOK_SECONDS))
        return self._export().of_revision(record.revision).token != refused

    async def _carry_out(self, act: Act, record: BatchRecord) -> BatchRecord | None:
        """The record that the action leads to; None to ask again later. Raises StorageError, and has then done nothing
        that may not be done again."""
        export = self._export()
        now_ms = self._clock.now_ms()
        match act:
            case Act.BEGIN:
                if importing.needs_manifest(record):
                    await self._exchange.write_manifest(export, record)
                    reach(Point.MANIFEST_WRITTEN)
                return importing.begun(record, now_ms)
            case Act.REFILE:
                return importing.refiled(record, await self._exchange.copy(export, record))
            case Act.LOOK_UP:
                job_id = await self._find(export, record)
                return importing.adopted(record, job_id) if job_id else None
            case Act.COPY:
                second = await self._exchange.copy(export, record)
                reach(Point.SLICES_COPIED)
                return importing.copied(record, second)
            case Act.DELETE_FIRST:
                await self._exchange.delete_file(export, record)
                reach(Point.FIRST_DELETED)
                job_id = await self._find(export, record)
                return importing.adopted(record, job_id) if job_id else importing.moved(record, now_ms)
            case Act.POLL:
                return await self._poll(export, record)
            case Act.WAIT | Act.EXPIRE | Act.NONE:
                return None

    async def _post(self, record: BatchRecord, recorded: Callable[[BatchRecord], None]) -> BatchRecord:
        """The one POST of the attempt that was just recorded. No answer leaves it unsettled, to be looked up."""
        export = self._export()
        self._posted_with = export.of_revision(record.revision).token
        try:
            job_id = await self._exchange.post_import(export, record)
            reach(Point.IMPORT_POSTED)
        except StorageUnavailable as error:
            _log.warning("%s batch %s: the import was not begun: %s", self._name(), record.batch_id, error)
            pause = error.retry_after_seconds or self._settings.retry_unavailable_seconds
            retry_ms = self._clock.now_ms() + int(pause * 1000)
            return await self._record(importing.refused(record, str(error), retry_ms), recorded)
        except StorageRefused as error:
            _log.error("%s batch %s: %s", self._name(), record.batch_id, error)
            self._tell(record, import_failed(str(error)))
            return await self._record(importing.refused(record, str(error), self._retry_ms(record)), recorded)
        except StorageError as error:
            _log.warning("%s batch %s: no clear answer to the import: %s", self._name(), record.batch_id, error)
            return record
        record = await self._record(importing.adopted(record, job_id), recorded)
        reach(Point.JOB_RECORDED)
        return record

    async def _find(self, export: Export, record: BatchRecord) -> str | None:
        """The job of the last attempt, if there is one. Raises StorageError when the list cannot be trusted."""
        jobs = await self._exchange.find_jobs(export, record, self._witness)
        if self._witness is not None and all(job.id != self._witness.id for job in jobs):
            raise StorageError(f"the list of jobs does not show job {self._witness.id}, which is known to exist")
        known = importing.known_jobs(record)
        file_id = record.attempts[-1].file_id
        return next((str(job.id) for job in jobs if str(job.file_id) == file_id and str(job.id) not in known), None)

    async def _poll(self, export: Export, record: BatchRecord) -> BatchRecord:
        pause = _FIRST_POLL_SECONDS
        while True:
            job = await self._exchange.job(export, record)
            if job.status is JobStatus.SUCCESS:
                reach(Point.JOB_SUCCEEDED)
                self._witness = job
                self._counters.imported(record, self._clock.now_ms())
                self._tell(record, import_done(record))
                return importing.imported(record, self._clock.now_ms())
            if job.status is JobStatus.ERROR:
                self._witness = job
                key = bool(export.of_revision(record.revision).mapping.primary_key)
                _log.error("%s batch %s: job %s failed: %s", self._name(), record.batch_id, job.id, job.error_message)
                self._tell(record, import_failed(job.error_message or job.error_code or "the job failed"))
                return importing.job_failed(
                    record,
                    job.error_code,
                    job.error_message or "the job failed without a message",
                    has_key=key,
                    retry_ms=self._retry_ms(record),
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_POLL_SECONDS)

    async def _expire(
        self, record: BatchRecord, recorded: Callable[[BatchRecord], None], trouble: StorageError | None
    ) -> BatchRecord:
        """The record and its dead letter are in one transaction; there is one letter, however often it expires."""
        now_ms, export = self._clock.now_ms(), self._export()
        expired = importing.expired(record, str(trouble) if trouble else None, now_ms)
        topic = source_topic(export, record, Names(self._settings.topic_prefix), self._topic_name)
        letters = [] if record.expired_ms else [letter_of_batch(export, expired, topic, now_ms)]
        await self._ledger.write([self._ledger.batch(expired), *map(self._ledger.dead_letter, letters)])
        self._counters.dead_letters.update(letter.event.reason for letter in letters)
        self._counters.batches_expired += 1
        recorded(expired)
        _log.critical(
            "%s batch %s with %d rows has expired and needs a person; its rows are in file %s: %s",
            self._name(),
            record.batch_id,
            record.count,
            record.file.file_id,
            expired.error,
        )
        return expired

    async def _record(self, record: BatchRecord, recorded: Callable[[BatchRecord], None]) -> BatchRecord:
        await self._ledger.write([self._ledger.batch(record)])
        recorded(record)
        if record.phase is Phase.UNCLEAR:
            _log.error("%s batch %s is unclear and needs a person: %s", self._name(), record.batch_id, record.error)
        return record

    def _tell(self, record: BatchRecord, event: StorageEvent) -> None:
        self._exchange.events.tell(self._export(), record.revision, record.run_id, event)

    def _retry_ms(self, record: BatchRecord) -> int:
        return self._clock.now_ms() + self._retries.pause_ms(record.failures + 1, _jitter.random())

    def _name(self) -> str:
        export = self._export()
        return f"{export.receiver_id}/{export.export_id}"


def _recorded(act: Act, record: BatchRecord) -> Point | None:
    """Which fault point lies behind the record that this act led to."""
    if record.phase is Phase.IMPORTED:
        return Point.IMPORT_RECORDED
    if act is Act.DELETE_FIRST and not record.attempts[-1].settled:
        return Point.MOVE_RECORDED
    return {Act.BEGIN: Point.ATTEMPT_RECORDED, Act.COPY: Point.COPY_RECORDED}.get(act)


class Backoff:
    """Pauses that double from 0.2 s to 30 s, with jitter."""

    def __init__(self) -> None:
        self._pause = 0.2

    async def wait(self) -> None:
        await asyncio.sleep(self._pause * _jitter.uniform(0.8, 1))
        self._pause = min(self._pause * 2, 30)
