"""One export in this sink: its fold, its staging steps and its imports, each as a task of the partition that owns it.

At most one staging step and one import are under way, and one ledger write of the fold at a time, so what the ledger
gets is always the fold's own next state.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.keboola.errors import StorageError
from app.model.dead_letter import DeadLetter
from app.model.ledger import BatchRecord, ExportState, Phase
from app.model.receiver import Export
from app.model.rows import Rows
from app.settings import Settings
from app.sink.budget import ByteBudget
from app.sink.clock import BrokerClock
from app.sink.exchange import Exchange
from app.sink.fold import ExportFold, Gap, LedgerWrite, Part, PendingFailure, StagedPart, Step
from app.sink.importer import Backoff, Importer
from app.sink.importing import TERMINAL, in_order
from app.sink.ledger import Ledger
from app.sink.observe import Counters
from app.sink.retiring import ending, may_end, over

_log = logging.getLogger(__name__)
_CREDENTIALS_MARGIN_MS = 30 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every export of a partition works with."""

    settings: Settings
    exchange: Exchange
    ledger: Ledger
    clock: BrokerClock
    budget: ByteBudget
    counters: Counters
    tasks: asyncio.TaskGroup


class ExportOwner:
    """Takes envelopes of one export and brings their rows into its table. `export` gives its definition as it is
    now.
    """

    def __init__(
        self,
        around: Surroundings,
        export: Callable[[], Export],
        state: ExportState,
        batches: Iterable[BatchRecord],
    ) -> None:
        self.fold = ExportFold(state)
        self.gap: str | None = None
        """Why the export is stopped, when something is missing; its rows stay in Kafka, uncommitted."""
        self._around = around
        self._export = export
        self._batches: dict[str, BatchRecord] = {}
        self._finished: deque[tuple[int, str]] = deque()
        """Imported batches whose records the ledger still has: when (broker's time), and which, oldest first."""
        for batch in sorted(batches, key=lambda batch: batch.finished_ms or 0):
            if batch.finished_ms is not None:
                self._finished.append((batch.finished_ms, batch.batch_id))
            elif batch.phase not in TERMINAL:
                self._batches[batch.batch_id] = batch
        self._importer = Importer(
            around.settings, around.exchange, around.ledger, around.clock, around.counters, export
        )
        self._writing = asyncio.Lock()
        self._staging: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._importing: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self._failures_since: float | None = None
        self._unstaged_since: float | None = None

    @property
    def export(self) -> Export:
        """The export's definition as it is now."""
        return self._export()

    @property
    def revision(self) -> int:
        """The newest revision that is known of the export; an envelope of a later one needs a read barrier first."""
        return self._export().revision.number

    def take(self, position: int, rows: Rows, appended_ms: int) -> None:
        """Take one envelope of the rows partition."""
        if self.gap is not None:
            return
        around, export = self._around, self._export()
        revision = export.find_revision(rows.revision)
        if revision is None and not self.fold.knows(position, rows):  # of one that is over there are repeats only
            self._stop(position, f"its revision {rows.revision} is not in the control log")
            return
        table_id = revision.mapping.table_id if revision else ""
        before = self.fold.buffered_bytes
        try:
            changed = self.fold.take(position, rows, appended_ms, table_id, export.conditions)
        except Gap as gap:
            self._stop(position, str(gap))
            return
        around.budget.take(self.fold.buffered_bytes - before)
        around.counters.envelopes += 1
        around.counters.rows += rows.count
        if not changed:
            around.counters.repeats += 1
        now = time.monotonic()
        if changed and self._unstaged_since is None:
            self._unstaged_since = now
        if self.fold.has_failures and self._failures_since is None:
            self._failures_since = now

    def _stop(self, position: int, why: str) -> None:
        self.gap = why
        self._around.counters.gaps += 1
        _log.critical("%s is stopped at rows offset %d: %s", self._name(), position, why)

    def tick(self, next_position: int) -> None:
        """Look at the clock and the sizes; begin what is due. `next_position`: the partition's next rows offset.

        Also after a gap: what was taken before it is whole.
        """
        settings, clock = self._around.settings, self._around.clock
        export = self._export()
        self.fold.close_due(clock.now_ms(), export.conditions)
        self._close_expiring(clock.now_ms())
        ending_now = self._close_ended(export)
        now = time.monotonic()
        first = self.fold.first_unstaged
        late = self._unstaged_since is not None and now - self._unstaged_since >= settings.staging_span_seconds
        long = first is not None and next_position - first >= settings.staging_span_envelopes
        full = self.fold.buffered_bytes >= settings.staging_bytes
        if self.fold.has_closed or late or long or full or ending_now:
            self.stage()
        if self._failures_since is not None and now - self._failures_since >= settings.dead_letter_seconds:
            self._publish_failures()
        self._import()
        if self._finished and (self._forgetting is None or self._forgetting.done()):
            self._forget_finished(clock.now_ms() - int(settings.batch_history_hours * 3_600_000))

    @property
    def held_bytes(self) -> int:
        """CSV bytes in memory: buffered, or in the step under way."""
        under_way = self.fold.step.parts.values() if self.fold.step else ()
        return self.fold.buffered_bytes + sum(part.size_bytes for part in under_way)

    @property
    def first_unstaged(self) -> int | None:
        """Rows offset from which a restart must read again for this export (rule 9); a gap holds it where it is."""
        first = self.fold.first_unstaged
        return self.fold.position if first is None and self.gap is not None else first

    def ended_revisions(self) -> tuple[int, ...]:
        """Numbers of the revisions that have nothing on their way any more; a gap leaves that open."""
        export = self._export()
        if self.gap is not None or not may_end(export):
            return ()
        return over(export, self.fold.staged, self._batches.values())

    def phases(self) -> list[str]:
        """The phase of each batch that is not finished."""
        return [batch.phase for batch in list(self._batches.values())]

    def stage(self) -> None:
        """Begin a staging step with everything so far, unless one is under way."""
        step = self.fold.cut()
        if step is not None:
            self._unstaged_since = None
            self._staging = self._around.tasks.create_task(self._stage(step), name=f"stage {self._name()}")

    async def end(self) -> None:
        """The export was deleted: stop all work and forget it in the ledger; what was not imported is discarded."""
        running = (self._staging, self._publishing, self._importing, self._forgetting)
        tasks = [task for task in running if task is not None and not task.done()]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._around.budget.give_back(self.held_bytes)
        ledger = self._around.ledger
        batch_ids = [*self._batches, *(batch_id for _, batch_id in self._finished)]
        await ledger.write(ledger.forget(self.fold.staged.export_uid, batch_ids, state=True))

    # Staging

    async def _stage(self, step: Step) -> None:
        async with asyncio.TaskGroup() as uploads:
            tasks = {
                batch_id: uploads.create_task(self._upload(batch_id, part)) for batch_id, part in step.parts.items()
            }
        staged = {batch_id: task.result() for batch_id, task in tasks.items()}
        await self._write(lambda: self.fold.step_write(self._batches, staged, self._around.clock.now_ms()))
        counters = self._around.counters
        for part in step.parts.values():
            counters.staged_rows += part.rows
            counters.staged_bytes += part.size_bytes
            self._around.budget.give_back(part.size_bytes)
        self._import()
        if self.fold.has_closed or self.fold.buffered_bytes >= self._around.settings.staging_bytes:
            self.stage()

    async def _upload(self, batch_id: str, part: Part) -> StagedPart:
        """One part as one slice of its batch's file, tried until it is there. Each try has a name of its own (rule
        10).
        """
        around, backoff = self._around, Backoff()
        revision = part.window.revision
        incremental = self._export().of_revision(revision).mapping.incremental
        record = self._batches.get(batch_id)
        file, run_id = (record.file, record.run_id) if record else (None, "")
        while True:
            try:
                if file is None:
                    file, run_id = await around.exchange.open_file(self._export(), revision, batch_id)
                name = f"{len(record.slices) if record else 0:05d}-{secrets.token_hex(8)}.gz"
                uploaded = await around.exchange.upload(file, name, part.csv, part.rows)
                return StagedPart(file, run_id, incremental, uploaded)
            except StorageError as error:
                _log.warning("%s batch %s cannot be staged: %s; trying again", self._name(), batch_id, error)
                around.counters.storage_retries += 1
                await backoff.wait()

    def _publish_failures(self) -> None:
        if self.fold.idle:
            self.stage()
        elif self._publishing is None or self._publishing.done():
            self._publishing = self._around.tasks.create_task(
                self._write(self.fold.dead_letter_write), name=f"publish {self._name()}"
            )

    async def _write(self, decide: Callable[[], LedgerWrite | None]) -> None:
        """Decide what to write and write it, with no other write of this fold in between."""
        ledger = self._around.ledger
        async with self._writing:
            write = decide()
            if write is None:
                return
            letters = [self._letter(failure) for failure in write.failures]
            await ledger.write(
                [ledger.state(write.state), *map(ledger.batch, write.batches), *map(ledger.dead_letter, letters)]
            )
            self.fold.written(write)
            self._batches.update({batch.batch_id: batch for batch in write.batches})
        self._around.counters.dead_letters.update(letter.event.reason for letter in letters)
        self._failures_since = time.monotonic() if self.fold.has_failures else None

    # Importing

    def _import(self) -> None:
        if (self._importing is None or self._importing.done()) and self._next_batch() is not None:
            self._importing = self._around.tasks.create_task(self._import_all(), name=f"import {self._name()}")

    async def _import_all(self) -> None:
        while (batch := self._next_batch()) is not None:
            finished = await self._importer.import_batch(batch, self._keep)
            del self._batches[finished.batch_id]
            if finished.finished_ms is not None:
                self._finished.append((finished.finished_ms, finished.batch_id))

    def _keep(self, batch: BatchRecord) -> None:
        self._batches[batch.batch_id] = batch

    def _next_batch(self) -> BatchRecord | None:
        """The batch whose turn it is: none of a revision while an earlier one's window for the same table is open (rule
        17).
        """
        for batch in in_order(self._batches.values()):
            if batch.phase is not Phase.OPEN:
                return batch
            if any(
                other.table_id == batch.table_id for other in self._batches.values() if other.revision > batch.revision
            ):
                return None
        return None

    def _forget_finished(self, before_ms: int) -> None:
        """Take imported batches older than this out of the ledger, or it would grow for ever."""
        old = []
        while self._finished and self._finished[0][0] < before_ms:
            old.append(self._finished.popleft()[1])
        if old:
            ledger = self._around.ledger
            records = ledger.forget(self.fold.staged.export_uid, old, state=False)
            self._forgetting = self._around.tasks.create_task(ledger.write(records), name=f"forget {self._name()}")

    def _close_expiring(self, now_ms: int) -> None:
        """End batches whose upload credentials end soon (rule 18)."""
        for batch in self._batches.values():
            if batch.phase is Phase.OPEN and batch.file.expires_ms - now_ms < _CREDENTIALS_MARGIN_MS:
                self.fold.close_batch(batch.batch_id, "credentials")

    def _close_ended(self, export: Export) -> bool:
        """End the windows of earlier revisions, and all of a deleted export once its last row is here.

        Whether a revision is over as soon as the ledger has what was taken.
        """
        self.fold.close_before(export.revision.number)
        if not may_end(export):
            return False
        ended = ending(export, self.fold.marks)
        if export.revision.number in ended:
            self.fold.close_before(export.revision.number + 1, "deletion")
        return ended != ending(export, self.fold.staged.next_offsets)

    def _letter(self, failure: PendingFailure) -> DeadLetter:
        export = self._export()
        return DeadLetter(
            export.project_id,
            export.receiver_id,
            export.export_id,
            export.uid,
            failure.revision,
            failure.source,
            failure.event,
            self._around.clock.now_ms(),
        )

    def _name(self) -> str:
        export = self._export()
        return f"{export.receiver_id}/{export.export_id}"
