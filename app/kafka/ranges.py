"""Reading a range of offsets of one partition, committed records only, a bounded block at a time.

How far the reader has come is kept in Kafka under a group that nobody joins, so that a process that is started again
goes on from there. One thread for each reader does what blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from app.kafka.client import consumer_config, passes
from app.model.errors import KafkaUnavailable
from app.settings import Settings

BLOCK_BYTES = 4 << 20
_BLOCK_SECONDS = 1.0
_REQUEST_SECONDS = 10.0
_QUEUED_KBYTES = 8 << 10
T = TypeVar("T")
Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """A record as `app.kafka.events.to_batch` takes it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class RangeBlock:
    """All committed records that are there from where the reader was to before `next_offset`."""

    records: Sequence[RangeRecord]
    next_offset: int


class RangeReader:
    """Of one partition, up to before offset `end`. Its methods are called one at a time; close it after use."""

    def __init__(self, settings: Settings, topic: str, partition: int, end: int, group: str) -> None:
        self._settings, self._place, self._end, self._group = settings, TopicPartition(topic, partition), end, group
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"range-{partition}")
        self._consumer: Consumer | None = None
        self._next: int | None = None

    async def committed(self) -> int | None:
        """The offset that was committed last. Raises KafkaUnavailable."""
        return await self._run(self._committed)

    async def read(self, offset: int, max_records: int) -> RangeBlock:
        """What comes within a second or so, at most about 4 MiB; an empty block when nothing came.

        Goes on behind what retention has deleted. Raises KafkaUnavailable.
        """
        return await self._run(lambda: self._read(offset, max_records))

    def read_now(self, offset: int, max_records: int) -> RangeBlock:
        """`read` in the caller's thread, for who reads in no other."""
        try:
            return self._read(offset, max_records)
        except KafkaException as error:
            raise self._trouble(error) from error

    async def commit(self, offset: int) -> None:
        """Write down that all before `offset` is done. Raises KafkaUnavailable."""
        await self._run(lambda: self._commit(offset))

    def close(self) -> None:
        """Let go of the consumer, without waiting for its thread."""
        self._executor.submit(self._close)
        self._executor.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except KafkaException as error:
            raise self._trouble(error) from error

    def _trouble(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"{self._place.topic}/{self._place.partition} cannot be read: {error.args[0].str()}")

    def _open(self) -> Consumer:
        if self._consumer is None:
            config = consumer_config(
                self._settings, enable_partition_eof=True, queued_max_messages_kbytes=_QUEUED_KBYTES
            )
            self._consumer = Consumer(config | {"group.id": self._group})
        return self._consumer

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    def _committed(self) -> int | None:
        (found,) = self._open().committed([self._place], _REQUEST_SECONDS)
        if found.error is not None:
            raise KafkaException(found.error)
        return None if found.offset < 0 else int(found.offset)

    def _commit(self, offset: int) -> None:
        place = TopicPartition(self._place.topic, self._place.partition, offset)
        self._open().commit(offsets=[place], asynchronous=False)

    def _read(self, offset: int, max_records: int) -> RangeBlock:
        consumer = self._open()
        if self._next != offset:
            consumer.assign([TopicPartition(self._place.topic, self._place.partition, offset)])
        records: list[RangeRecord] = []
        size, position = 0, offset
        until = time.monotonic() + _BLOCK_SECONDS
        while position < self._end and len(records) < max_records and size < BLOCK_BYTES:
            message = consumer.poll(max(0.0, until - time.monotonic()))
            if message is None:
                break
            error, met = message.error(), message.offset() or 0
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    position = min(self._end, max(position, met))
                    break
                if passes(error):
                    continue
                raise KafkaException(error)
            if met >= self._end:
                position = self._end
                break
            value = message.value()
            size += len(message)
            headers = cast(Headers | None, message.headers()) or ()
            records.append(RangeRecord(met, message.timestamp()[1], message.key(), value, headers))
            position = met + 1
        self._next = position
        return RangeBlock(records, position)
