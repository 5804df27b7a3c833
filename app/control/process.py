"""`streams control`: the process. A Faust app on the commands topic, one worker per partition, one view for all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from prometheus_client import REGISTRY

from app.api.running import RunningTasks
from app.control.forgetting import Forgetting
from app.control.log import ControlLog, Echo
from app.control.partition import PartitionWorker
from app.control.run import Surroundings
from app.control.topics import count_partitions
from app.kafka.client import connect_admin, partition_of_key
from app.kafka.consumer_metrics import ConsumerCollector
from app.kafka.faust import Chunk, ChunkApp, Item, Partition, create_app, serve
from app.kafka.faust import run as run_loop
from app.kafka.names import Names
from app.kafka.plan import Process, ensure_topics, topics_of
from app.kafka.view import ControlView
from app.kafka.watch import ConsumerWatch
from app.logs import configure_logging
from app.model.cipher import Cipher
from app.observe import serve_metrics
from app.observe.tracing import tracing
from app.settings import Settings

CHUNK_RECORDS = 100
MAX_PROJECTS = 16
"""Projects that one process works for at the same time; each has one task under way."""
_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigurationError or KafkaUnavailable when it cannot start."""
    configure_logging(settings, "control")
    with tracing("control"):
        run_loop(_main(settings))


async def _main(settings: Settings) -> None:
    cipher = Cipher(settings.encryption_key)
    admin = await asyncio.to_thread(connect_admin, settings)
    await asyncio.to_thread(ensure_topics, admin, settings, topics_of(settings, Process.CONTROL))
    names = Names(settings.topic_prefix)
    rows_partitions = await count_partitions(admin, names.rows)
    command_partitions = await count_partitions(admin, names.commands)
    async with ControlView(settings) as view:
        app = create_app(settings, "control", chunk_records=CHUNK_RECORDS)
        control = Control(
            settings, view, app, Surroundings(settings, cipher, admin, rows_partitions), command_partitions
        )
        app.consume(control.consume, [names.commands])
        app.on_assigned(control.assigned)
        app.on_revoked(control.revoked)
        # A command may wait for long behind others of its project, so what is watched is that commands are taken.
        watch = ConsumerWatch(settings, app, admin, position=lambda place: place.fetched)
        REGISTRY.register(ConsumerCollector(watch, by_partition=True))
        with watch, serve_metrics(settings.control_port, settings.listen_address, app.alive, watch.why_not_ready):
            await serve(app)


class Control:
    """The workers of the partitions that are ours at the moment."""

    def __init__(
        self,
        settings: Settings,
        view: ControlView,
        app: ChunkApp,
        surroundings: Surroundings,
        command_partitions: int,
    ) -> None:
        self._command_partitions = command_partitions
        self._settings, self._view, self._app, self._around = settings, view, app, surroundings
        self._running = RunningTasks(view)
        self._echo = Echo(view)
        self._slots = asyncio.Semaphore(MAX_PROJECTS)
        self._workers: dict[Partition, PartitionWorker] = {}
        self._crash: asyncio.Task[None] | None = None

    async def consume(self, items: AsyncIterator[Item]) -> None:
        """Called by the app with all chunks, for as long as it runs."""
        async for item in items:
            worker = self._workers.get(item.source) if isinstance(item, Chunk) else None
            if isinstance(item, Chunk) and worker is not None:
                await worker.take(item)

    async def assigned(self, partitions: frozenset[Partition]) -> None:
        """Called after a rebalance, before the first chunk: workers open in the background."""
        for source in partitions:
            self._workers[source] = self._make_worker(source)

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Called in a rebalance and at stop; what is done by the end of it is committed."""
        workers = [worker for source in partitions if (worker := self._workers.pop(source, None)) is not None]
        await asyncio.gather(*(worker.close() for worker in workers))

    def _make_worker(self, source: Partition) -> PartitionWorker:
        log = ControlLog(self._settings, source.partition, self._view, self._echo, self._app.commit_now)

        def ours(project_id: str) -> bool:
            return partition_of_key(project_id, self._command_partitions) == source.partition

        async def committed() -> int | None:
            if not await self._app.commit_now():
                return None
            found = await self._app.committed([source])
            return found[source].offset if source in found else 0

        return PartitionWorker(
            self._around,
            log,
            self._running,
            ours,
            Forgetting(self._around, log, source.partition, ours, committed),
            self._slots,
            lambda offset, generation: self._app.done(*source, offset, generation),
            lambda hold: self._app.hold_back([source]) if hold else self._app.let_go([source]),
            self._fail,
        )

    def _fail(self, error: BaseException) -> None:
        """A defect: end the process loudly rather than leave commands lying."""
        if self._crash is None:
            _log.critical("control ends, because a task met a defect", exc_info=error)
            self._crash = asyncio.create_task(self._app.crash(error), name="control-crash")
