"""One rows partition that this process owns: opened behind its fence, fed with chunks, until it is lost.

Chunks that come while it opens wait in its inbox and are never dropped. Its ledger, its exports' staging and imports
run as tasks of one group: when the ledger is fenced the group ends, and the caller decides whether the partition is
lost (rule 11). Envelopes of exports that the control log, read behind a barrier, does not have are dropped (delivery
protocol, identity).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from app.kafka.codec import CodecError, rows_codec
from app.kafka.faust import Chunk
from app.kafka.view import ControlView
from app.model.ledger import ExportState
from app.model.receiver import Export
from app.model.replay import Replay, ReplayingExport, with_replays
from app.settings import Settings
from app.sink.budget import ByteBudget
from app.sink.catchup import RowsReader
from app.sink.clock import BrokerClock
from app.sink.exchange import Exchange
from app.sink.export import ExportOwner, Surroundings
from app.sink.ledger import Ledger, LedgerContent
from app.sink.observe import Counters
from app.sink.reports import EndReports
from app.sink.retiring import may_end

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0
"""Between two looks for exports that end without ever having had an event; there may be thousands of exports."""


class PartitionOwner:
    """Run `run()` as a task; feed it by `take`. `committable(next_offset, generation)` is told what the group may
    commit.
    """

    def __init__(
        self,
        settings: Settings,
        partition: int,
        view: ControlView,
        exchange: Exchange,
        budget: ByteBudget,
        counters: Counters,
        reports: EndReports,
        committable: Callable[[int, int], None],
    ) -> None:
        self.partition = partition
        self.clock = BrokerClock()
        self.is_open = False
        """Whether the ledger is ours and read."""
        self.exports: dict[str, ExportOwner] = {}
        self._settings, self._view, self._exchange = settings, view, exchange
        self._budget, self._counters, self._committable = budget, counters, committable
        self._reports = reports
        self._ledger = Ledger(settings, partition, self.clock)
        self._inbox: asyncio.Queue[Chunk] = asyncio.Queue()
        self._content = LedgerContent()
        self._next: int | None = None
        self._generation = 0
        self._ended: set[str] = set()
        self._look_at = float("-inf")

    @property
    def next_offset(self) -> int | None:
        """The rows offset after what is folded; None before the first chunk."""
        return self._next

    @property
    def waits_for_kafka(self) -> bool:
        """Whether it can go on only when Kafka takes its transactions again. From any thread."""
        return self._ledger.waits

    def take(self, chunk: Chunk) -> None:
        """Queue one chunk; its bytes count against the budget until it is folded, then its rows' do."""
        self._budget.take(chunk.size_bytes)
        self._inbox.put_nowait(chunk)

    async def run(self) -> None:
        """Own the partition until cancelled.

        Raises Fenced when another process has taken it, KafkaUnavailable when Kafka is away; alone or in a group.
        """
        try:
            self._content = await self._ledger.open()
            self.is_open = True
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ledger.serve(), name=f"ledger {self.partition}")
                around = Surroundings(
                    self._settings,
                    self._exchange,
                    self._ledger,
                    self.clock,
                    self._budget,
                    self._counters,
                    tasks,
                    live_next=lambda: self._next,
                    read_again=lambda uid, offset: RowsReader(self._settings, self.partition, uid, offset),
                    reading_again=asyncio.Semaphore(1),
                    read_control=lambda: self._view.caught_up(30),
                    topic_name=self._view.catalog.topic_name,
                )
                await self._view.caught_up(30)
                for uid in list(self._content.states.keys() | self._content.batches.keys()):
                    if self._open(uid, around) is None:
                        batches = self._content.batches.get(uid, {})
                        await self._ledger.write(self._ledger.forget(uid, batches, state=True))
                await self._work(around)
        finally:
            self._ledger.close()
            while not self._inbox.empty():
                self._budget.give_back(self._inbox.get_nowait().size_bytes)
            for owner in self.exports.values():
                self._budget.give_back(owner.held_bytes)

    async def _work(self, around: Surroundings) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.tick_seconds):
                    chunk = await self._inbox.get()
            except TimeoutError:
                chunk = None
            if chunk is not None:
                try:
                    await self._fold(chunk, around)
                finally:
                    self._budget.give_back(chunk.size_bytes)
            await self._tick(around)

    async def _fold(self, chunk: Chunk, around: Surroundings) -> None:
        self._next, self._generation = chunk.end, chunk.generation
        for record in chunk.records:
            if record.value is None:
                continue
            self.clock.saw(record.timestamp)
            try:
                rows = rows_codec.decode(record.value)
            except CodecError as error:
                _log.critical("rows %d offset %d is not ours and is skipped: %s", self.partition, record.offset, error)
                continue
            owner = self.exports.get(rows.export_uid) or await self._find(rows.export_uid, around)
            if owner is None:
                continue
            if not owner.knows(rows.revision):
                await self._view.caught_up(30)
            owner.take(record.offset, rows, record.timestamp)

    async def _find(self, uid: str, around: Surroundings) -> ExportOwner | None:
        """The owner of an export not met before; None when the control log, read to its end, does not have it: it
        ended.
        """
        if uid in self._ended:
            return None
        if uid not in self._view.catalog.exports_by_uid:
            await self._view.caught_up(30)
        return self._open(uid, around)

    def _open(self, uid: str, around: Surroundings) -> ExportOwner | None:
        export = self._view.catalog.exports_by_uid.get(uid)
        if export is None:
            self._ended.add(uid)
            return None
        definition = Definition(self._view, export)
        # Taken out: of the batches, most of which are imported, the owner keeps what it needs.
        state = self._content.states.pop(uid, ExportState(uid))
        batches = self._content.batches.pop(uid, {}).values()
        self.exports[uid] = ExportOwner(around, definition, state, batches)
        return self.exports[uid]

    def _open_ending(self, around: Surroundings) -> None:
        """Own also those exports of which something may be over and nothing ever came: nobody would say so (rule 20).

        Nothing came of an export that was made after the last event of its receiver.
        """
        now, catalog = time.monotonic(), self._view.catalog
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        for uid, export in list(catalog.exports_by_uid.items()):
            if export.rows_partition == self.partition and uid not in self.exports and may_end(export):
                self._open(uid, around)

    async def _tick(self, around: Surroundings) -> None:
        self._open_ending(around)
        for uid, owner in list(self.exports.items()):
            if uid not in self._view.catalog.exports_by_uid:
                del self.exports[uid]
                self._ended.add(uid)
                await owner.end()
                continue
            owner.tick(self._next or 0)
            ended = owner.ended_revisions()
            if ended and self._reports.due(owner.export, ended):
                around.tasks.create_task(
                    self._reports.report(owner.export, ended, owner.results()), name=f"report {uid}"
                )
        if self._budget.pressed and self.exports:
            max(self.exports.values(), key=lambda owner: owner.fold.buffered_bytes).stage()
        if self._next is not None:  # what the ledger covers may be committed, and no more (rule 9)
            unstaged = [first for o in self.exports.values() if (first := o.first_unstaged) is not None]
            self._committable(min([self._next, *unstaged]), self._generation)


class Definition:
    """An export's definition, with its replays, as the control log has it now; the last one known after it ended."""

    def __init__(self, view: ControlView, export: Export) -> None:
        self._view, self._export = view, export
        self._replays: tuple[Replay, ...] = ()
        self._whole = with_replays(export, ())

    def __call__(self) -> ReplayingExport:
        """Called for each envelope, so it is put together when something has changed only."""
        catalog, uid = self._view.catalog, self._export.uid
        export = catalog.exports_by_uid.get(uid)
        if export is None:
            return self._whole
        replays = tuple(catalog.replays.get(uid, {}).values())
        if export is not self._export or replays != self._replays:
            self._export, self._replays = export, replays
            self._whole = with_replays(export, replays)
        return self._whole
