"""The Faust app: one agent, one queue of chunks and ticks, one consumer group.

Offsets are committed when the caller says `done`, never by Faust (delivery protocol, rule 3). What a chunk means, and
when it is done, is the caller's.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import cramjam  # noqa: F401  # without it the first snappy, lz4 or zstd batch kills the fetcher: fail at start instead
import faust
from faust.app.base import BootStrategy
from faust.serializers import codecs
from faust.tables.manager import TableManager
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types.transports import TransportT
from mode.utils.locks import Event

from app.kafka.faust.chunk import TICK, Chunk, Committed, Item, Partition, Progress, Tick
from app.kafka.faust.consumer import ChunkConsumer, PartitionsCallback, StartsCallback
from app.kafka.faust.security import aiokafka_security
from app.kafka.faust.topics import Subscription
from app.kafka.faust.watchdog import Watchdog
from app.kafka.names import Names
from app.settings import Settings

Consume = Callable[[AsyncIterator[Item]], Awaitable[None]]
_CODEC = "as-it-is"
_HEARTBEAT_SECONDS = 0.5
_REQUEST_SECONDS = 20.0
_RESUBSCRIBE_SECONDS = 0.2
_METADATA_MS = 5000  # how soon new partitions, and a topic made again, are seen


class _AsItIs(codecs.Codec):
    """Faust decodes a message's value; ours is a chunk already."""

    def loads(self, s: bytes) -> Any:
        return s

    def dumps(self, s: Any) -> bytes:
        return cast(bytes, s)


codecs.register(_CODEC, _AsItIs())


class _ConsumerOnly(BootStrategy):
    """We produce with librdkafka: no connection of Faust's producer."""

    enable_kafka_producer = False
    enable_kafka_consumer = True
    enable_sensors = False
    enable_web = False


class _NoTables(TableManager):
    """Faust gives tables a second to be declared, at every start. There are none; wait for the agent instead."""

    async def on_start(self) -> None:
        await self.wait_for_stopped(cast(ChunkApp, self.app).feeding)
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class _ChunkTransport(driver.Transport):
    Consumer = ChunkConsumer


class ChunkApp(faust.App):
    """Made by `create_app`, run by `serve`. Its methods are for the event loop that runs it."""

    logger = logging.getLogger("faust")  # what mode says about its services goes under Faust's name
    BootStrategy = _ConsumerOnly
    consumer_arguments: dict[str, Any]
    chunk_records: int
    chunk_bytes: int
    watchdog: Watchdog
    anchors: frozenset[Partition] = frozenset()
    """Partitions that are subscribed to for the subscription's sake and never read."""
    generation = 0
    """The generation of the newest lease; 0 before the first."""

    def _create_directories(self) -> None:
        """No tables, so nothing to keep on disk."""

    def _new_transport(self) -> TransportT:
        return _ChunkTransport(self.conf.broker_consumer, self)

    @cached_property
    def feeding(self) -> Event:
        """Set when the agent runs and the first subscription is complete."""
        return Event()

    @property
    def _chunks(self) -> ChunkConsumer:
        return cast(ChunkConsumer, self.consumer)

    def consume(
        self,
        consume: Consume,
        topics: Collection[str] | Callable[[], Collection[str]],
        *,
        anchor: str | None = None,
        reconcile_seconds: float = 0.25,
        tick_seconds: float | None = None,
    ) -> None:
        """Feed `consume` with the chunks of these topics, and with a tick every `tick_seconds`. Call once, first.

        `topics` may be a function: the subscription then follows what it returns, and `anchor` names a topic that is
        there from the start (a group needs one) and is not read. `consume` runs until it is cancelled at stop; when it
        ends or raises before, the process ends, because a chunk lost in it would never be done.
        """
        if callable(topics):
            if anchor is None:
                raise ValueError("a subscription that changes needs an anchor")
            fixed, wanted = [anchor], topics
            self.anchors = frozenset([Partition(anchor, 0)])
        else:
            fixed, wanted = list(topics), None
        channel = self.topic(*fixed, value_serializer=_CODEC, value_type=None)

        async def agent(stream: Any) -> None:
            manual = stream.noack()  # a new stream: `current_event` lives on this one
            queue = manual.channel.queue
            if wanted is not None:
                subscription = Subscription(self, queue, wanted, fixed[0], _CODEC)
                cast(Conductor, self.topics)._resubscribe_sleep_lock_seconds = _RESUBSCRIBE_SECONDS
                subscription.reconcile()  # before the first subscribe: saves a rebalance at each start
                self.timer(reconcile_seconds)(subscription.keep)
            if tick_seconds is not None:

                async def tick() -> None:
                    if not self.rebalancing:
                        queue.force_put_nowait(TICK)  # a plain put raises when the queue is full

                self.timer(tick_seconds)(tick)
            self.feeding.set()
            try:
                await consume(self._items(manual))
                if not self.should_stop:
                    raise RuntimeError("the loop that consumes ended by itself")
            except Exception as error:
                await self.crash(error)

        self.agent(channel, name=f"{self.conf.id}.chunks")(agent)

    async def _items(self, stream: Any) -> AsyncIterator[Item]:
        async for value in stream:
            if isinstance(value, Tick) or (isinstance(value, Chunk) and self._chunks.holds(value)):
                yield value

    def on_assigned(self, callback: PartitionsCallback) -> None:
        """Call `callback(partitions)` after each rebalance, before their first chunk. It must be quick: all wait."""
        self._chunks.assigned_callbacks.append(callback)

    def on_revoked(self, callback: PartitionsCallback) -> None:
        """Call `callback(partitions)` (all that `on_assigned` named) in each rebalance and at stop.

        `done` still counts within it; then it is committed. It must be over within a few seconds.
        """
        self._chunks.revoked_callbacks.append(callback)

    def start_at(self, starts: StartsCallback) -> None:
        """Let `starts` say where reading begins, given what the group has committed (None: nothing)."""
        self._chunks.starts = starts

    def done(self, topic: str, partition: int, next_offset: int, generation: int, metadata: str = "") -> None:
        """Everything before `next_offset` is durable: committed at the next interval, or when partitions go.

        Call it in order per partition. One of another generation is ignored.
        """
        self._chunks.done(Partition(topic, partition), next_offset, generation, metadata)

    async def commit_now(self) -> bool:
        """Commit at once, even if nothing is new; whether the group took it, that is, still counts us in."""
        return await self._chunks.commit_done(prove=True)

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        """What the group has committed, asked from Kafka; partitions without a commit are left out."""
        return await self._chunks.committed(partitions)

    def hold_back(self, partitions: Iterable[Partition]) -> None:
        """Take no more of these until `let_go` or the next assignment. What is queued, or just cut, still comes."""
        self._chunks.hold_back(partitions)

    def let_go(self, partitions: Iterable[Partition]) -> None:
        self._chunks.let_go(partitions)

    async def rewind(self, partitions: Collection[Partition]) -> None:
        """Read these again from where reading begins (see `start_at`), under a new generation."""
        await self._chunks.rewind(partitions)

    @property
    def joined(self) -> bool:
        """Whether the group has given us our part, which may be nothing, and no rebalance is under way. From any
        thread.
        """
        return self._consumer is not None and self._chunks.joined

    @property
    def handing_over(self) -> bool:
        """Whether a chunk waits because `consume` has not taken those before it. From any thread."""
        return self._consumer is not None and self._chunks.handing_over

    def progress(self) -> list[Progress]:
        """How far we are with each partition that we hold now. From any thread."""
        return self._chunks.progress() if self._consumer is not None else []

    def alive(self) -> bool:
        """The process's liveness, from any thread: nothing has been wrong for long."""
        return self.watchdog.alive()

    async def drain(self) -> None:
        """The first step of a stop: no more chunks, `on_revoked`, commit."""
        if self.started:
            self.consumer.stop_flow()
            await self._chunks.give_up()


def create_app(
    settings: Settings,
    process: str,
    *,
    chunk_records: int,
    chunk_bytes: int = 4 << 20,
    queued_chunks: int = 16,
    commit_seconds: float = 0.5,
) -> ChunkApp:
    """The app of "mapper", "sink" or "control". Make it on the event loop that runs it.

    A chunk ends at `chunk_records` records, or once it has `chunk_bytes` of values, which it may pass by as many again.
    `queued_chunks` wait for the consumer at most, besides what aiokafka has fetched.
    """
    group = Names(settings.topic_prefix).group(process)
    app = ChunkApp(
        group,
        broker="kafka://" + settings.kafka_bootstrap_servers.replace(",", ";kafka://"),
        store="memory://",
        datadir=Path(tempfile.gettempdir()) / f"{group}-{os.getpid()}",
        topic_allow_declare=False,
        topic_disable_leader=True,
        TableManager=_NoTables,
        web_enabled=False,
        table_standby_replicas=0,
        stream_wait_empty=False,
        stream_buffer_maxsize=queued_chunks,
        broker_commit_interval=commit_seconds,
        broker_request_timeout=_REQUEST_SECONDS,
        worker_redirect_stdouts=False,
    )
    app.chunk_records, app.chunk_bytes = chunk_records, chunk_bytes
    app.watchdog = Watchdog(
        app, settings.watchdog_seconds, settings.stuck_seconds, stop_seconds=settings.graceful_stop_seconds
    )
    app.consumer_arguments = {
        "client_id": group,
        "group_id": group,
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "request_timeout_ms": int(_REQUEST_SECONDS * 1000),
        "session_timeout_ms": int(settings.session_timeout_seconds * 1000),
        "heartbeat_interval_ms": int(_HEARTBEAT_SECONDS * 1000),
        "rebalance_timeout_ms": 20_000,
        "max_poll_interval_ms": 3_600_000,
        "metadata_max_age_ms": _METADATA_MS,
        "fetch_min_bytes": settings.fetch_min_bytes,
        "fetch_max_wait_ms": settings.fetch_wait_ms,
        "max_partition_fetch_bytes": 1 << 20,
        **aiokafka_security(settings.kafka_properties),
    }
    return app
