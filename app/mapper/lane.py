"""One source partition: its chunks are mapped side by side, and each export goes through them at its own pace.

Keeps the prefix property (delivery protocol, rule 1): of each export, one envelope is in flight, and the next is sent
only after the delivery of the one before; one that Kafka does not take is sent again, unchanged, for ever. An export
that is mapped slowly therefore holds up no other, as long as there is room for more chunks. A chunk is done when all
its envelopes are delivered (rule 3), in the order in which chunks were taken. A producer that is broken for good ends
the lane, and with it the process, which is started again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.kafka.faust import Chunk
from app.kafka.producer import AsyncProducer
from app.mapper import metrics
from app.mapper.delivery import deliver
from app.model.event import Reason

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The envelopes of one export for one chunk, encoded, in order, and where they go; `filtered` by its filter."""

    export_uid: str
    rows_partition: int
    envelopes: Sequence[bytes]
    rows: int = 0
    failures: Sequence[Reason] = ()
    filtered: int = 0


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a chunk becomes, read as `reading` says (`Catalog.reading_of`): for each export (by uid) its envelopes, when
    they are there.

    The lane takes out what is delivered, so that an export that is done waits in memory for no other.
    """

    reading: str
    exports: dict[str, asyncio.Task[Outgoing]]


class Following(Protocol):
    """What a lane tells its owner about each chunk that it took."""

    def sent(self, outgoing: Outgoing) -> None:
        """What an export has of the chunk is delivered."""

    def delivered(self, chunk: Chunk, reading: str) -> None:
        """All its envelopes are delivered, and those of the chunks before it."""

    def released(self, chunk: Chunk) -> None:
        """It is out of memory, delivered or not. Called once for each."""

    def stale(self, chunk: Chunk) -> None:
        """It is not of the topic that the receiver has now. Chunks before it are delivered, the lane has ended."""


class Lane:
    """Takes the chunks of one partition under one generation. `run` delivers until it is cancelled, or closed."""

    def __init__(self, producer: AsyncProducer, rows_topic: str, following: Following) -> None:
        self._producer, self._topic, self._following = producer, rows_topic, following
        self._works: deque[_Work] = deque()
        self._begun: asyncio.Task[_Begun | None] | None = None
        self._last: dict[str, asyncio.Task[None]] = {}
        self._news, self._ended = asyncio.Event(), asyncio.Event()
        self._closed = False

    def take(self, chunk: Chunk, mapping: asyncio.Task[Mapped | None]) -> None:
        """Deliver what this task gives, after what was taken before. None says that the chunk is stale."""
        self._begun = asyncio.create_task(self._begin(mapping, self._begun), name=f"begin {chunk.source}")
        self._works.append(_Work(chunk, mapping, self._begun, time.monotonic()))
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled or closed, or until a chunk is stale. Raises ProducerBroken."""
        try:
            while not self._closed or self._works:
                if not self._works:
                    self._news.clear()
                    await self._news.wait()
                elif not await self._finish(self._works[0]):
                    break
                else:
                    self._following.released(self._works.popleft().chunk)
        finally:
            while self._works:
                work = self._works.popleft()
                work.give_up()
                work.cancel()
                self._following.released(work.chunk)
            self._ended.set()

    async def close(self, timeout_seconds: float) -> None:
        """Drop what is not mapped, and give envelopes that wait for their delivery this long. Then cancel `run`."""
        self._closed = True
        for work in self._works:
            work.give_up()
        self._news.set()
        try:
            await asyncio.wait_for(self._ended.wait(), timeout_seconds)
        except TimeoutError:
            _log.warning("envelopes in flight were not delivered within %g s; they will be repeated", timeout_seconds)

    async def _begin(
        self, mapping: asyncio.Task[Mapped | None], before: asyncio.Task[_Begun | None] | None
    ) -> _Begun | None:
        """Line up each export's envelopes behind those of the chunk before; None when that, or this one, is stale."""
        if before is not None and await before is None:
            return None
        mapped = await mapping
        if mapped is None:
            return None
        begun = _Begun(mapped.reading, mapped.exports, [])
        for uid in mapped.exports:
            self._last[uid] = part = asyncio.create_task(self._deliver(uid, begun.mappings, self._last.get(uid)))
            begun.parts.append(part)
        return begun

    async def _finish(self, work: _Work) -> bool:
        """Wait until a chunk is delivered; whether the lane goes on."""
        await asyncio.wait([work.begun])
        if work.begun.cancelled():
            return False
        begun = work.begun.result()
        if begun is None:
            self._following.stale(work.chunk)
            return False
        if begun.parts:
            await asyncio.wait(begun.parts, return_when=asyncio.FIRST_EXCEPTION)
        for part in begun.parts:
            if part.done() and not part.cancelled():
                part.result()
        if any(part.cancelled() for part in begun.parts):
            return False
        self._last = {uid: part for uid, part in self._last.items() if part not in begun.parts}
        self._following.delivered(work.chunk, begun.reading)
        metrics.CHUNK_SECONDS.observe(time.monotonic() - work.taken_at)
        return True

    async def _deliver(
        self, uid: str, mappings: dict[str, asyncio.Task[Outgoing]], before: asyncio.Task[None] | None
    ) -> None:
        """One export's envelopes of one chunk, after those `before`. They are not held any longer then."""
        if before is not None:
            await asyncio.wait([before])
            before.result()
        outgoing = await mappings[uid]
        await deliver(self._producer, self._topic, uid, outgoing.rows_partition, outgoing.envelopes)
        del mappings[uid]
        self._following.sent(outgoing)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A chunk that is lined up: what its exports that are not done become, and their tasks."""

    reading: str
    mappings: dict[str, asyncio.Task[Outgoing]]
    parts: list[asyncio.Task[None]]


@dataclass(frozen=True, slots=True)
class _Work:
    chunk: Chunk
    mapping: asyncio.Task[Mapped | None]
    begun: asyncio.Task[_Begun | None]
    taken_at: float

    def give_up(self) -> None:
        """Let go of what is not mapped yet."""
        self.mapping.cancel()
        for mapping in [] if (begun := self._lined_up()) is None else begun.mappings.values():
            mapping.cancel()

    def cancel(self) -> None:
        """Let go of what is not delivered, and of what is mapped and about to be lined up."""
        self.begun.cancel()
        for part in [] if (begun := self._lined_up()) is None else begun.parts:
            part.cancel()

    def _lined_up(self) -> _Begun | None:
        if not self.begun.done() or self.begun.cancelled() or self.begun.exception() is not None:
            return None
        return self.begun.result()
