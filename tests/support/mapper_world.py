"""A mapper in scripted surroundings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.kafka.codec import rows_codec
from app.kafka.faust import Chunk, Partition
from app.mapper.mapper import Mapper
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.event import EventBatch, Segment
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision
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
        self.topic = TOPIC
        self.topic_id: str | None = "id-1"
        self.behind_the_barrier: list[Callable[[], None]] = []
        self.barrier_failures = 0
        self.pool_open = asyncio.Event()
        self.pool_open.set()
        self.slow_pool_open = asyncio.Event()
        self.in_line: set[Partition] = set()
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
    def map_each(
        self, exports: list[Any], batch: EventBatch, owner: object = None
    ) -> list[asyncio.Future[list[Segment]]]:
        return [asyncio.ensure_future(self._map(uid, batch)) for uid, _ in exports]

    def keeps_waiting(self, owner: object) -> bool:
        return owner in self.in_line

    async def _map(self, key: str, batch: EventBatch) -> list[Segment]:
        await self.pool_open.wait()
        if key.startswith("slow"):
            await self.slow_pool_open.wait()
        return [Segment(batch.offsets[-1] + 1, b'"x"\n' * len(batch), batch.offsets, [])]

    # topic ids
    async def of(self, topic: str) -> str | None:
        return self.topic_id

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def chunk(self, base: int, end: int) -> Chunk:
        return Chunk(self.topic, 0, base, end, [Record(offset) for offset in range(base, end)], 5, 0)


@asynccontextmanager
async def running(world: World, schemas: Any = None) -> AsyncIterator[Mapper]:
    anything: Any = world
    mapper = Mapper(Settings(), anything, anything, anything, anything, anything, schemas=schemas)
    await mapper.starts({SOURCE: None})
    task = asyncio.create_task(mapper.consume(world.items()))
    try:
        yield mapper
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
