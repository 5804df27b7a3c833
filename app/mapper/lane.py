"""One source partition: its chunks are mapped side by side and delivered one after the other.

Keeps the prefix property (delivery protocol, rule 1): of each export, one envelope is in flight, and the next is sent
only after the delivery of the one before; one that Kafka does not take is sent again, unchanged, for ever. A chunk is
done when all its envelopes are delivered (rule 3). A producer that is broken for good ends the lane, and with it the
process, which is started again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.kafka.faust import Chunk
from app.kafka.producer import AsyncProducer, ProducerBroken
from app.mapper import metrics
from app.model.errors import KafkaUnavailable
from app.model.event import Reason

_log = logging.getLogger(__name__)
_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The envelopes of one export for one chunk, encoded, in order, and where they go."""

    export_uid: str
    rows_partition: int
    envelopes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of one chunk of the topic with this id, for all exports; `filtered` by their filters."""

    topic_id: str
    outgoing: Sequence[Outgoing]
    rows: int
    failures: Sequence[Reason]
    filtered: int = 0


class Following(Protocol):
    """What a lane tells its owner about each chunk that it took."""

    def delivered(self, chunk: Chunk, mapped: Mapped) -> None:
        """All its envelopes are delivered."""

    def released(self, chunk: Chunk) -> None:
        """It is out of memory, delivered or not. Called once for each."""

    def stale(self, chunk: Chunk) -> None:
        """It is not of the topic that the receiver has now. Chunks before it are delivered, the lane has ended."""


class Lane:
    """Takes the chunks of one partition under one generation. `run` delivers until it is cancelled."""

    def __init__(self, producer: AsyncProducer, rows_topic: str, following: Following) -> None:
        self._producer, self._topic, self._following = producer, rows_topic, following
        self._queue: asyncio.Queue[_Work] = asyncio.Queue()
        self._current: _Work | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def take(self, chunk: Chunk, mapping: asyncio.Task[Mapped | None]) -> None:
        """Deliver what this task gives, after what was taken before. None says that the chunk is stale."""
        self._queue.put_nowait(_Work(chunk, mapping, time.monotonic()))

    async def run(self) -> None:
        """Deliver until cancelled, or until a chunk is stale. Raises ProducerBroken."""
        while await self._finish(await self._queue.get()):
            pass

    async def _finish(self, work: _Work) -> bool:
        """Deliver one chunk, and keep nothing of it; whether the lane goes on."""
        self._current = work
        self._idle.clear()
        try:
            mapped = await work.mapping
            if mapped is None:
                self._following.stale(work.chunk)
                return False
            await asyncio.gather(*(self._deliver(outgoing) for outgoing in mapped.outgoing))
            self._following.delivered(work.chunk, mapped)
            metrics.CHUNK_SECONDS.observe(time.monotonic() - work.taken_at)
            return True
        finally:
            self._current = None
            self._idle.set()
            self._following.released(work.chunk)

    async def close(self, timeout_seconds: float) -> None:
        """Drop what waits, and give envelopes that are in flight this long to be delivered. Then cancel `run`."""
        while not self._queue.empty():
            work = self._queue.get_nowait()
            work.mapping.cancel()
            self._following.released(work.chunk)
        if self._current is not None:
            self._current.mapping.cancel()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_seconds)
        except TimeoutError:
            _log.warning("envelopes in flight were not delivered within %g s; they will be repeated", timeout_seconds)

    async def _deliver(self, outgoing: Outgoing) -> None:
        for envelope in outgoing.envelopes:
            retry_seconds = _FIRST_RETRY_SECONDS
            while True:
                try:
                    await self._producer.send(
                        self._topic, envelope, outgoing.export_uid, partition=outgoing.rows_partition
                    )
                    break
                except ProducerBroken:
                    raise
                except KafkaUnavailable as error:
                    _log.warning("an envelope of export %s is sent again: %s", outgoing.export_uid, error)
                    metrics.RETRIES.inc()
                    await asyncio.sleep(retry_seconds)
                    retry_seconds = min(2 * retry_seconds, _LAST_RETRY_SECONDS)
            metrics.ENVELOPES.inc()


@dataclass(frozen=True, slots=True)
class _Work:
    chunk: Chunk
    mapping: asyncio.Task[Mapped | None]
    taken_at: float
