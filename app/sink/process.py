"""The sink process: a Faust app on the rows topic, an owner for each assigned partition.

Which rows are committed is decided by the owners; a partition whose ledger is fenced is opened again when the group
still counts us in, and let go when it does not (delivery protocol, rule 11).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection

from prometheus_client import REGISTRY

from app.api.commands import CommandSender
from app.kafka.client import connect_admin
from app.kafka.consumer_metrics import ConsumerCollector
from app.kafka.faust import Chunk, ChunkApp, Item, Partition, Progress, create_app, serve
from app.kafka.faust import run as run_loop
from app.kafka.names import Names
from app.kafka.plan import Process, ensure_topics, topics_of
from app.kafka.transaction import Fenced
from app.kafka.view import ControlView
from app.kafka.watch import ConsumerWatch
from app.limits import raise_file_limit
from app.logs import configure_logging
from app.model.cipher import Cipher
from app.model.errors import KafkaUnavailable
from app.observe import serve_metrics
from app.observe.tracing import tracing
from app.settings import Settings
from app.sink.budget import ByteBudget
from app.sink.exchange import Exchange
from app.sink.levels import Levels, measure
from app.sink.observe import Counters, SinkCollector
from app.sink.partition import PartitionOwner
from app.sink.reports import EndReports

_log = logging.getLogger(__name__)
_CHUNK_RECORDS = 64
_QUEUED_CHUNKS = 2
"""Their bytes are not in the budget yet."""
_REOPEN_SECONDS = 1.0


def run(settings: Settings) -> None:
    """Run the sink until SIGTERM or SIGINT. Raises StreamsError when it cannot start."""
    configure_logging(settings, "sink")
    raise_file_limit()
    with tracing("sink"):
        run_loop(_main(settings))


async def _main(settings: Settings) -> None:
    cipher = Cipher(settings.encryption_key)
    admin = await asyncio.to_thread(connect_admin, settings)
    await asyncio.to_thread(ensure_topics, admin, settings, topics_of(settings, Process.SINK))
    exchange = Exchange(settings, cipher)
    async with ControlView(settings) as view, CommandSender(settings) as commands:
        app = create_app(settings, "sink", chunk_records=_CHUNK_RECORDS, queued_chunks=_QUEUED_CHUNKS)
        sink = Sink(settings, app, view, exchange, EndReports(commands.send))
        REGISTRY.register(SinkCollector(sink.counters, sink.levels))
        app.consume(sink.consume, [Names(settings.topic_prefix).rows])
        app.on_assigned(sink.assigned)
        app.on_revoked(sink.revoked)
        watch = ConsumerWatch(settings, app, admin, excused=sink.rests, position=sink.position, parked=sink.parked_at)
        REGISTRY.register(ConsumerCollector(watch, by_partition=True))
        try:
            with watch, serve_metrics(settings.sink_port, settings.listen_address, app.alive, watch.why_not_ready):
                await serve(app)
        finally:
            exchange.close()


def _in_words(error: BaseException) -> str:
    """What went wrong; of what ran out, also what to do."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_in_words, error.exceptions))
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return "out of memory: give the process more (400 MB are enough by default), or lower STREAMS_SINK_MEMORY_BYTES"
    return str(error) or type(error).__name__


class Sink:
    """Hands chunks to the owners of their partitions and keeps the owners in step with the assignment."""

    def __init__(
        self, settings: Settings, app: ChunkApp, view: ControlView, exchange: Exchange, reports: EndReports
    ) -> None:
        self.counters = Counters()
        self.budget = ByteBudget(settings.sink_memory_bytes)
        self.owners: dict[int, PartitionOwner] = {}
        self._settings, self._app, self._view, self._exchange = settings, app, view, exchange
        self._reports = reports
        self._topic = Names(settings.topic_prefix).rows
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._without_kafka: set[int] = set()
        """Partitions that were not opened, or lost, when it was tried last, because of Kafka."""

    async def consume(self, items: AsyncIterator[Item]) -> None:
        """Feed the owners; wait while too many bytes are held, so that lag grows and memory does not."""
        async for item in items:
            if isinstance(item, Chunk) and (owner := self.owners.get(item.partition)) is not None:
                owner.take(item)
                await self.budget.room()

    async def assigned(self, partitions: Collection[Partition]) -> None:
        for _, partition in partitions:
            self.owners[partition] = self._owner(partition)
            self._tasks[partition] = asyncio.create_task(self._own(partition), name=f"rows {partition}")

    async def revoked(self, _partitions: Collection[Partition]) -> None:
        """Throw everything in memory away: what is not in the ledger is in Kafka."""
        tasks = list(self._tasks.values())
        self._without_kafka.clear()
        self.owners.clear()
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Asked from other threads

    def levels(self) -> Levels:
        """How full the sink is now."""
        owners = list(self.owners.values())
        return measure(owners, self.budget.used_bytes, self._settings.metrics_topics)

    def rests(self, source: Partition) -> bool:
        """Whether the partition waits for others, so that a restart would help nothing: memory is full of what Storage
        has to take first, or Kafka, though it answers, takes no transaction or does not let the ledger or the control
        log be read.
        """
        if self.budget.used_bytes >= self.budget.limit_bytes:
            return True
        owner = self.owners.get(source.partition)
        if owner is not None and (owner.is_open or owner.waits_for_kafka):
            return owner.waits_for_kafka
        return source.partition in self._without_kafka

    def position(self, place: Progress) -> int:
        """How far the partition is folded; it is committed much later, when it is staged."""
        owner = self.owners.get(place.source.partition)
        return place.done if owner is None or owner.next_offset is None else owner.next_offset

    def parked_at(self) -> dict[Partition, int]:
        """From where the furthest behind of each partition's parked exports is read again, also after a restart."""
        found = {}
        for owner in list(self.owners.values()):
            folds = [export.fold for export in list(owner.exports.values())]
            parked = [fold.staged.staged_to for fold in folds if fold.staged.parked]
            if parked:
                found[Partition(self._topic, owner.partition)] = min(parked)
        return found

    async def _own(self, partition: int) -> None:
        """Keep the partition open as long as it is ours. An error that is not about Kafka ends the process."""
        try:
            while True:
                await self._open(partition)
                self.owners[partition] = self._owner(partition)
                await self._app.rewind([Partition(self._topic, partition)])
        except Exception as error:
            _log.critical("rows %d: %s", partition, _in_words(error), exc_info=True)
            await self._app.crash(error)

    async def _open(self, partition: int) -> None:
        """Own the partition until its ledger is lost; return when it is to be opened again.

        After a fence that is when the group takes a commit of ours. If it never does the partition is another's, and
        the rebalance that says so cancels this; a commit that failed for another reason must not leave it unowned.
        """
        try:
            try:
                await self.owners[partition].run()
            finally:
                self.owners.pop(partition, None)  # it takes no chunk any more
        except* Fenced as fenced:
            self.counters.fenced += 1
            self._without_kafka.discard(partition)
            _log.warning("rows %d: %s", partition, fenced.exceptions[0])
            while not await self._app.commit_now():  # noqa: ASYNC110  # there is nothing but to ask
                await asyncio.sleep(_REOPEN_SECONDS)
        except* KafkaUnavailable as away:
            self._without_kafka.add(partition)
            _log.warning("rows %d: %s", partition, away.exceptions[0])
            await asyncio.sleep(_REOPEN_SECONDS)

    def _owner(self, partition: int) -> PartitionOwner:
        def committable(next_offset: int, generation: int) -> None:
            self._app.done(self._topic, partition, next_offset, generation)

        return PartitionOwner(
            self._settings,
            partition,
            self._view,
            self._exchange,
            self.budget,
            self.counters,
            self._reports,
            committable,
        )
