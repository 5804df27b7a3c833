"""The mapper process: what it needs, in the order in which it starts and stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from prometheus_client import REGISTRY

from app.api.commands import CommandSender
from app.kafka.client import connect_admin
from app.kafka.consumer_metrics import ConsumerCollector
from app.kafka.faust import Item, create_app, serve
from app.kafka.faust import run as run_loop
from app.kafka.names import Names
from app.kafka.plan import Process, ensure_topics, topics_of
from app.kafka.producer import AsyncProducer
from app.kafka.schemas import open_schemas
from app.kafka.view import ControlView
from app.kafka.watch import ConsumerWatch
from app.logs import configure_logging
from app.mapper.mapper import Mapper
from app.mapper.metrics import ChildrenCollector
from app.mapper.replays import Replays
from app.mapper.resting import RestReports
from app.mapper.topic_ids import TopicIds
from app.mapping.children import MappingPool
from app.memory import settle_memory
from app.observe import serve_metrics
from app.observe.tracing import tracing
from app.settings import Settings

_LINGER_MS = 3
_COLLECT_AFTER_OBJECTS = 50_000
"""Some ten thousand records are in flight, of four objects each: fewer are looked through again and again."""
_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Run the mapper until SIGTERM or SIGINT. Raises StreamsError when it cannot start."""
    configure_logging(settings, "mapper")
    with tracing("mapper"):
        run_loop(_main(settings))


async def _main(settings: Settings) -> None:
    admin = await asyncio.to_thread(connect_admin, settings)
    await asyncio.to_thread(ensure_topics, admin, settings, topics_of(settings, Process.MAPPER))
    topic_ids = TopicIds(admin)
    async with (
        ControlView(settings) as view,
        AsyncProducer(settings, linger_ms=_LINGER_MS) as producer,
        open_schemas(settings) as schemas,
        _pool(settings) as pool,
        _running(topic_ids),
        AsyncExitStack() as commands,
    ):
        app = create_app(settings, "mapper", chunk_records=settings.chunk_events)
        resting = await commands.enter_async_context(_rest_reports(settings, view, pool))
        mapper = Mapper(settings, app, view, producer, pool, topic_ids, resting, schemas)
        replays = Replays(settings, view, producer, pool, topic_ids, schemas)

        async def consume(items: AsyncIterator[Item]) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(replays.run(), name="replays")
                await mapper.consume(items)

        app.consume(
            consume,
            mapper.wanted_topics,
            anchor=Names(settings.topic_prefix).control,
            reconcile_seconds=settings.reconcile_seconds,
        )
        app.start_at(mapper.starts)
        app.on_assigned(replays.assigned)
        app.on_revoked(replays.revoked)
        app.on_revoked(mapper.revoked)
        watch = ConsumerWatch(settings, app, admin, excused=mapper.rests)
        REGISTRY.register(ConsumerCollector(watch, by_partition=False))
        REGISTRY.register(ChildrenCollector(lambda: pool.pids))
        with watch, serve_metrics(settings.mapper_port, settings.listen_address, app.alive, watch.why_not_ready):
            settle_memory(_COLLECT_AFTER_OBJECTS)
            await serve(app)


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[MappingPool]:
    pool = MappingPool(
        settings.mapping_children,
        memory_mib=settings.mapping_memory_mib,
        budget_seconds=settings.mapping_budget_seconds,
        event_seconds=settings.mapping_event_seconds,
        engine=settings.jsonnet_engine,
        failing_share=settings.mapping_failing_share,
    )
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def _rest_reports(settings: Settings, view: ControlView, pool: MappingPool) -> AsyncIterator[RestReports | None]:
    """None where exports are not to be suspended by themselves, or commands cannot be sent for want of a key."""
    if settings.suspend_resting_seconds and not settings.encryption_key:
        _log.warning("exports that rest for long are not suspended: STREAMS_ENCRYPTION_KEY is not set")
    if not (settings.suspend_resting_seconds and settings.encryption_key):
        yield None
        return
    async with CommandSender(settings) as commands:
        yield RestReports(view.catalog, pool, commands.send, settings.suspend_resting_seconds)


@asynccontextmanager
async def _running(topic_ids: TopicIds) -> AsyncIterator[None]:
    task = asyncio.create_task(topic_ids.run(), name="topic-ids")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
