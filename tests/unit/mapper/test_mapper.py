"""The mapper's loop with scripted surroundings: what the real ones cannot be made to do at will."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from app.kafka.codec import rows_codec
from app.kafka.faust import Chunk, Committed, Partition
from app.mapper.mapper import Mapper
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.event import EventBatch, Segment
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision, SourceOffset
from app.model.rows import Rows
from app.settings import Settings

TOPIC = "streams.events.1.a"
SOURCE = Partition(TOPIC, 0)
RECEIVER = Receiver("r", "1", "a", "a", "", b"", TOPIC, "id-1", 1, 0)
REVISION = Revision(1, Mapping("in.c-b.t", (Column("body", ColumnType.BODY),)), "1", b"", 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 7, (), (REVISION,), 0)


@dataclass
class Record:
    offset: int
    value: bytes = b"x"
    timestamp: int = 1
    key: bytes | None = None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


class World:
    """All that a Mapper talks to: app, view, producer, pool and topic ids in one. Nothing takes time unless told."""

    refused_at = float("-inf")

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.topic_id: str | None = "id-1"
        self.behind_the_barrier: list[Callable[[], None]] = []
        self.barrier_failures = 0
        self.pool_open = asyncio.Event()
        self.pool_open.set()
        self.slow_pool_open = asyncio.Event()
        self.sent: list[tuple[str, int, Rows]] = []
        self.committed: list[tuple[str, int, int, int, str]] = []
        self.calls: list[tuple[str, Partition]] = []
        self.news = asyncio.Event()
        self.chunks: asyncio.Queue[Chunk] = asyncio.Queue()

    # app
    def done(self, topic: str, partition: int, offset: int, generation: int, metadata: str) -> None:
        self.committed.append((topic, partition, offset, generation, metadata))
        self.news.set()

    def hold_back(self, partitions: list[Partition]) -> None:
        self._called("hold_back", partitions)

    def let_go(self, partitions: list[Partition]) -> None:
        self._called("let_go", partitions)

    async def rewind(self, partitions: list[Partition]) -> None:
        self._called("rewind", partitions)

    def _called(self, name: str, partitions: list[Partition]) -> None:
        self.calls += [(name, source) for source in partitions]
        self.news.set()

    async def items(self) -> AsyncIterator[Chunk]:
        while True:
            yield await self.chunks.get()

    # view
    async def caught_up(self) -> None:
        if self.barrier_failures:
            self.barrier_failures -= 1
            raise KafkaUnavailable("not now")
        for happen in self.behind_the_barrier:
            happen()
        self.behind_the_barrier.clear()

    # producer
    def send(self, topic: str, value: bytes, key: str, *, partition: int) -> asyncio.Future[int]:
        self.sent.append((key, partition, rows_codec.decode(value)))
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answer.set_result(0)
        return answer

    # pool
    def map_each(self, exports: list[Any], batch: EventBatch) -> list[asyncio.Future[list[Segment]]]:
        return [asyncio.ensure_future(self._map(uid, batch)) for uid, _ in exports]

    async def _map(self, key: str, batch: EventBatch) -> list[Segment]:
        await self.pool_open.wait()
        if key.startswith("slow"):
            await self.slow_pool_open.wait()
        return [Segment(batch.offsets[-1] + 1, b'"x"\n' * len(batch), batch.offsets, [])]

    # topic ids
    async def of(self, topic: str) -> str | None:
        return self.topic_id

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def chunk(self, base: int, end: int) -> Chunk:
        return Chunk(TOPIC, 0, base, end, [Record(offset) for offset in range(base, end)], 5, 0)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Mapper]:
    anything: Any = world
    mapper = Mapper(Settings(), anything, anything, anything, anything, anything)
    await mapper.starts({SOURCE: None})
    task = asyncio.create_task(mapper.consume(world.items()))
    try:
        yield mapper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_delivered_chunk_is_done_under_its_topics_id() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    async with running(world):
        world.chunks.put_nowait(world.chunk(10, 15))
        await world.until(lambda: world.committed)

    ((key, partition, rows),) = world.sent
    assert (key, partition, rows.base, rows.end, rows.count) == ("e", 7, 10, 15, 5)
    assert world.committed == [(TOPIC, 0, 15, 5, "id-1")]


async def test_what_the_control_log_had_when_the_chunk_was_fetched_is_in_force() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    changed = replace(EXPORT, revisions=(REVISION, replace(REVISION, number=2)))
    world.behind_the_barrier.append(lambda: world.catalog.put_export(changed))
    async with running(world):
        world.chunks.put_nowait(world.chunk(0, 1))
        await world.until(lambda: world.committed)

    assert [rows.revision for _, _, rows in world.sent] == [2]


async def test_mapping_waits_for_a_control_log_that_cannot_be_read() -> None:
    world = World()
    world.barrier_failures = 3
    world.behind_the_barrier.append(lambda: world.catalog.put_receiver(RECEIVER))
    async with running(world):
        world.chunks.put_nowait(world.chunk(0, 1))
        await world.until(lambda: world.committed)

    assert world.barrier_failures == 0


async def test_chunk_of_a_topic_made_again_is_dropped_and_the_partition_read_anew() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    async with running(world):
        world.topic_id = "id-2"
        world.catalog.put_receiver(replace(RECEIVER, topic_id="id-2"))
        world.chunks.put_nowait(world.chunk(50, 60))
        await world.until(lambda: ("rewind", SOURCE) in world.calls)

    assert world.sent == world.committed == []


async def test_partition_of_a_topic_that_the_receiver_does_not_know_waits_for_it() -> None:
    world = World()
    world.catalog.put_receiver(replace(RECEIVER, topic_id="id-0"))
    async with running(world):
        world.chunks.put_nowait(world.chunk(0, 10))
        await world.until(lambda: ("hold_back", SOURCE) in world.calls)
        before = list(world.calls)
        world.catalog.put_receiver(RECEIVER)
        await world.until(lambda: ("let_go", SOURCE) in world.calls)

    assert ("rewind", SOURCE) not in before
    assert ("rewind", SOURCE) in world.calls
    assert world.committed == []


async def test_partition_is_held_back_while_enough_of_it_is_under_way() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    world.pool_open.clear()
    async with running(world):
        for number in range(4):
            world.chunks.put_nowait(world.chunk(10 * number, 10 * number + 10))
        await world.until(lambda: world.calls)
        held = list(world.calls)
        world.pool_open.set()
        await world.until(lambda: len(world.committed) == 4)

    assert held == [("hold_back", SOURCE)]
    assert world.calls == [("hold_back", SOURCE), ("let_go", SOURCE)]
    assert [rows.base for _, _, rows in world.sent] == [0, 10, 20, 30]


async def test_revoked_partition_leaves_nothing_behind() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    world.pool_open.clear()
    async with running(world) as mapper:
        for number in range(4):
            world.chunks.put_nowait(world.chunk(10 * number, 10 * number + 10))
        await world.until(lambda: world.calls)
        await mapper.revoked([SOURCE])
        world.pool_open.set()
        world.chunks.put_nowait(world.chunk(0, 5))
        await world.until(lambda: world.committed)

    assert [(rows.base, rows.end) for _, _, rows in world.sent] == [(0, 5)]
    assert [offset for _, _, offset, _, _ in world.committed] == [5]


async def test_commit_of_another_topic_counts_as_none() -> None:
    world = World()
    world.catalog.put_receiver(replace(RECEIVER, starts=(SourceOffset("id-1", 1, 40),)))
    other = Partition(TOPIC, 1)
    async with running(world) as mapper:
        assert await mapper.starts({SOURCE: Committed(9, "id-1"), other: Committed(9, "id-1")}) == {
            SOURCE: 9,
            other: 9,
        }
        assert await mapper.starts({SOURCE: Committed(9, "id-0"), other: None}) == {SOURCE: 0, other: 40}


async def test_partition_rests_while_kafka_takes_no_envelopes() -> None:
    world = World()
    async with running(world) as mapper:
        world.refused_at = time.monotonic() - 120
        before = mapper.rests(SOURCE)
        world.refused_at = time.monotonic()

        assert (before, mapper.rests(SOURCE)) == (False, True)
