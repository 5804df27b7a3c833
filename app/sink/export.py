"""One export in this sink: its fold, its staging steps and its imports, each as a task of the partition that owns it.

At most one staging step and one import are under way, and one ledger write of the fold at a time, so what the ledger
gets is always the fold's own next state. Source: delivery protocol, rules 8, 9, 12 and 18.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from app.api.drafts import LaneResult
from app.model.dead_letter import DeadLetter
from app.model.ledger import BatchRecord, ExportState
from app.model.receiver import LIVE_LANE
from app.model.replay import ReplayingExport, is_lane_number
from app.model.rows import Rows
from app.observe.pulse import LOOK_SECONDS, Looks
from app.observe.tracing import Attributes, traced
from app.settings import Settings
from app.sink.batches import Batches
from app.sink.budget import ByteBudget
from app.sink.catchup import RowsReader
from app.sink.clock import BrokerClock
from app.sink.exchange import Exchange
from app.sink.fault_points import Point, reach
from app.sink.fold import ExportFold, Gap
from app.sink.importer import Importer
from app.sink.ledger import Ledger
from app.sink.observe import Counters
from app.sink.retiring import ending, first_of, lane_results, may_end, over
from app.sink.steps import LedgerWrite, PendingFailure, Step
from app.sink.uploads import Uploads

_log = logging.getLogger(__name__)
_jitter = random.SystemRandom()
_PATIENCE_SECONDS = 5.0
"""How long an export that catches up may fail to stage before it is parked again."""


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
    live_next: Callable[[], int | None]
    """The rows offset after what the others were given; None before the first chunk."""
    read_again: Callable[[str, int], RowsReader]
    """Envelopes of an export (its uid) from a rows offset on."""
    reading_again: asyncio.Semaphore
    """How many exports may read at once."""
    read_control: Callable[[], Awaitable[None]]
    """Returns when the control log is read to its end."""
    topic_name: Callable[[str], str | None]
    """The name of the topic with this id, if it is known."""


class ExportOwner:
    """Takes envelopes of one export and brings their rows into its table. `export` gives its definition as it is
    now.
    """

    def __init__(
        self,
        around: Surroundings,
        export: Callable[[], ReplayingExport],
        state: ExportState,
        batches: Iterable[BatchRecord],
    ) -> None:
        self.fold = ExportFold(state)
        self.gap: str | None = None
        """Why the export is stopped, when something is missing; its rows stay in Kafka, uncommitted."""
        self._around = around
        self._export = export

        def importer() -> Importer:
            names = around.topic_name
            return Importer(
                around.settings, around.exchange, around.ledger, around.clock, around.counters, export, names
            )

        self._batches = Batches(state.export_uid, self._name(), batches, importer, around.ledger, around.tasks)
        self._uploads = Uploads(around.exchange, around.counters, export, around.clock.now_ms)
        self._writing = asyncio.Lock()
        self._staging: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._parking: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._parked_in_a_row = 0
        self._looks = Looks(max(around.settings.tick_seconds, LOOK_SECONDS))
        self._failing_seconds = 0.0
        self._failures_since: float | None = None
        self._unstaged_since: float | None = None
        if state.parked:
            self._begin_catch_up(0)

    @property
    def export(self) -> ReplayingExport:
        """The export's definition as it is now."""
        return self._export()

    def knows(self, revision: int) -> bool:
        """Whether this revision is known, or was; an envelope of another one needs a read barrier first."""
        export = self._export()
        return revision <= export.revision.number or export.find_revision(revision) is not None

    def take(self, position: int, rows: Rows, appended_ms: int) -> None:
        """Take one envelope of the rows partition; a parked export reads it again later."""
        if not self.fold.parked:
            self._take(position, rows, appended_ms)

    def _take(self, position: int, rows: Rows, appended_ms: int) -> None:
        if self.gap is not None:
            return
        around, export = self._around, self._export()
        revision = export.find_revision(rows.revision)
        first = None
        if rows.source.lane != LIVE_LANE:
            first = first_of(export, rows.source)
            if revision is None or first is None:
                around.counters.repeats += 1  # of a replay that has ended
                return
        if revision is None and not self.fold.knows(position, rows):  # of one that is over there are repeats only
            self._stop(position, f"its revision {rows.revision} is not in the control log")
            return
        table_id = revision.mapping.table_id if revision else ""
        before = self.fold.buffered_bytes + self.fold.failure_bytes
        try:
            changed = self.fold.take(position, rows, appended_ms, table_id, export.conditions, first)
        except Gap as gap:
            self._stop(position, str(gap))
            return
        around.budget.take(self.fold.buffered_bytes + self.fold.failure_bytes - before)
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
        self.fold.stopped = True
        self._stopping = self._around.tasks.create_task(
            self._write(lambda: self.fold.stop_write()), name=f"stop {self._name()}"
        )
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
        if self._is_hopeless(now):
            self.park()
        self._batches.retry(export.retries)
        self._batches.import_next()
        self._batches.forget_before(clock.now_ms() - int(settings.batch_history_hours * 3_600_000))

    @property
    def held_bytes(self) -> int:
        """Bytes in memory: CSV that is buffered or in the step under way, and failures that are not published."""
        under_way = self.fold.step.parts.values() if self.fold.step else ()
        return self.fold.buffered_bytes + self.fold.failure_bytes + sum(part.size_bytes for part in under_way)

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
        return over(export, self.fold.staged, [*self._batches.unfinished.values(), *self._batches.waiting.values()])

    @property
    def batches(self) -> list[BatchRecord]:
        """Those that are not imported. From any thread."""
        return [*list(self._batches.unfinished.values()), *list(self._batches.waiting.values())]

    def results(self) -> tuple[LaneResult, ...]:
        """What the replays that are not finished have come to, by the ledger."""
        return lane_results(self._export(), self.fold.staged)

    def stage(self) -> None:
        """Begin a staging step with everything so far, unless one is under way."""
        step = self.fold.cut()
        if step is not None:
            self._unstaged_since = None
            facts: Attributes = {
                "streams.export": self._name(),
                "streams.rows": sum(part.rows for part in step.parts.values()),
            }
            work = traced("sink.stage", self._stage(step), facts)
            self._staging = self._around.tasks.create_task(work, name=f"stage {self._name()}")

    async def end(self) -> None:
        """The export was deleted: stop all work and forget it in the ledger; what was not imported is discarded."""
        try:
            work = (self._parking, self._catching_up, self._staging, self._publishing, self._stopping)
            await _cancel(*work, *self._batches.running)
        finally:
            self._around.budget.give_back(self.held_bytes)
        ledger = self._around.ledger
        await ledger.write(ledger.forget(self.fold.staged.export_uid, self._batches.ids, state=True))

    # Staging

    async def _stage(self, step: Step) -> None:
        staged = await self._uploads.stage(step.parts, self._batches.unfinished)
        await self._write(lambda: self.fold.step_write(self._batches.unfinished, staged, self._around.clock.now_ms()))
        reach(Point.STEP_RECORDED)
        counters = self._around.counters
        for part in step.parts.values():
            counters.staged_rows += part.rows
            counters.staged_bytes += part.size_bytes
            self._around.budget.give_back(part.size_bytes)
        self._batches.import_next()
        if self.fold.has_closed or self.fold.buffered_bytes >= self._around.settings.staging_bytes:
            self.stage()

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
            before = self.fold.failure_bytes
            self.fold.written(write)
            self._around.budget.give_back(before - self.fold.failure_bytes)
            for batch in write.batches:
                self._batches.keep(batch)
        self._around.counters.dead_letters.update(letter.event.reason for letter in letters)
        self._failures_since = time.monotonic() if self.fold.has_failures else None

    # Parking

    def _is_hopeless(self, now: float) -> bool:
        """Whether Storage has taken nothing for so long that the export is to be parked; at once when memory is short.

        The time in which this process was frozen does not count.
        """
        settings, elapsed = self._around.settings, self._looks.elapsed(now)
        if not self._uploads.failing:
            self._failing_seconds = 0.0
            return False
        self._failing_seconds += elapsed
        patience = min(settings.park_after_seconds, _PATIENCE_SECONDS if self.fold.parked else math.inf)
        return self._failing_seconds >= patience or self._around.budget.pressed

    def park(self) -> None:
        """Let go of all that is not in the ledger, so that it holds neither memory nor offsets, unless that is under
        way. It is read again from Kafka when Storage takes something.
        """
        if self._parking is None or self._parking.done():
            self._parking = self._around.tasks.create_task(self._park(), name=f"park {self._name()}")

    async def _park(self) -> None:
        around = self._around
        async with self._writing:  # so no write is under way, and what was recorded meanwhile counts
            if not self._uploads.failing:
                return
            await _cancel(self._catching_up, self._staging, self._publishing)
            write = self.fold.park_write()
            await around.ledger.write([around.ledger.state(write.state)])
            around.budget.give_back(self.held_bytes)
            self.fold = ExportFold(write.state)
            self.fold.stopped = write.state.stopped
        self._uploads.failing = False
        self._failures_since = self._unstaged_since = None
        pause = min(around.settings.park_seconds * 2**self._parked_in_a_row, around.settings.park_cap_seconds)
        self._parked_in_a_row += 1
        around.counters.parkings += 1
        _log.error(
            "%s is parked at rows offset %d and tried again in %.0f s: %s",
            self._name(),
            write.state.staged_to,
            pause,
            self._uploads.trouble,
        )
        self._begin_catch_up(pause)

    def _begin_catch_up(self, pause_seconds: float) -> None:
        self._catching_up = self._around.tasks.create_task(
            self._catch_up(pause_seconds * _jitter.uniform(0.8, 1)), name=f"catch up {self._name()}"
        )

    async def _catch_up(self, pause_seconds: float) -> None:
        """Read again what was let go, then go on with the others: from where they are at that moment (rule 12)."""
        await asyncio.sleep(pause_seconds)
        async with self._around.reading_again:
            reader = self._around.read_again(self.fold.staged.export_uid, self.fold.position)
            try:
                while self.fold.parked and self.gap is None:
                    await self._read_block(reader)
            finally:
                reader.close()
        self._parked_in_a_row = 0
        self.stage()
        if self.gap is None:
            _log.info("%s has caught up", self._name())

    async def _read_block(self, reader: RowsReader) -> None:
        around = self._around
        while self.fold.buffered_bytes >= around.settings.staging_bytes:
            self.stage()
            if self._staging is not None:
                await asyncio.wait({self._staging})
        await around.budget.room()
        block = await reader.read()
        if not all(self.knows(rows.revision) for _, _, rows in block.envelopes):
            await around.read_control()
        for position, appended_ms, rows in block.envelopes:
            self._take(position, rows, appended_ms)
        live = around.live_next()
        if block.at_end if live is None else block.next_offset >= live:
            self.fold.resume()

    # Closing windows

    def _close_expiring(self, now_ms: int) -> None:
        for batch_id in self._batches.expiring(now_ms):
            self.fold.close_batch(batch_id, "credentials")

    def _close_ended(self, export: ReplayingExport) -> bool:
        """End the windows of earlier revisions, and those of a replay or a deleted export once its last row is here.

        Whether a revision is over as soon as the ledger has what was taken.
        """
        self.fold.close_before(export.revision.number)
        self.fold.keep_lanes([replay.lane for replay in export.replays])
        if not may_end(export):
            return False
        ended = ending(export, self.fold.marks)
        for number in filter(is_lane_number, ended):
            self.fold.close_revision(number, "replay")
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


async def _cancel(*tasks: asyncio.Task[None] | None) -> None:
    """End these tasks, whatever they are at."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
