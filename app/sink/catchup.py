"""Reading one export's envelopes again from the rows partition, while the others go on (delivery protocol, rule 12)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, TopicPartition

from app.kafka.client import consumer_config, passes
from app.kafka.codec import CodecError, rows_codec
from app.kafka.names import Names
from app.model.errors import KafkaUnavailable
from app.model.rows import Rows
from app.settings import Settings

_BLOCK_BYTES = 4 << 20
_BLOCK_SECONDS = 1.0
_QUEUED_KBYTES = 8 << 10
_FETCH_BYTES = 256 << 10
"""Compressed; what it unpacks to is held beside the queue. A larger envelope is fetched all the same."""
_SILENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Block:
    """What lies before rows offset `next_offset` and after the block before: the export's envelopes, each with its
    offset and the broker's time. `at_end`: there was nothing behind it.
    """

    envelopes: Sequence[tuple[int, int, Rows]]
    next_offset: int
    at_end: bool


class RowsReader:
    """Committed envelopes of one export from `offset` on, a few MiB at a time, in order. Close it after use."""

    def __init__(self, settings: Settings, partition: int, export_uid: str, offset: int) -> None:
        self._settings, self._uid = settings, export_uid.encode()
        self._place = TopicPartition(Names(settings.topic_prefix).rows, partition, offset)
        self._next = offset
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"catch-up-{partition}")
        self._consumer: Consumer | None = None

    async def read(self) -> Block:
        """The next block; an empty one when little comes. Raises KafkaUnavailable when nothing comes for long."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read)

    def close(self) -> None:
        """Let go of the consumer, without waiting for its thread."""
        self._executor.submit(self._close)
        self._executor.shutdown(wait=False)

    def _close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    def _read(self) -> Block:
        if self._consumer is None:
            config = consumer_config(
                self._settings, enable_partition_eof=True, queued_max_messages_kbytes=_QUEUED_KBYTES
            )
            self._consumer = Consumer({**config, "fetch.message.max.bytes": _FETCH_BYTES})
            self._consumer.assign([self._place])
        envelopes: list[tuple[int, int, Rows]] = []
        size = 0
        first = self._next
        begun = time.monotonic()
        while size < _BLOCK_BYTES and (waited := time.monotonic() - begun) < _SILENCE_SECONDS:
            if self._next > first and waited > _BLOCK_SECONDS:
                break
            message = self._consumer.poll(_BLOCK_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._next = max(self._next, message.offset() or 0)
                return Block(envelopes, self._next, at_end=True)
            if error is not None:
                if passes(error):
                    continue
                raise KafkaUnavailable(f"{self._place.topic}/{self._place.partition} cannot be read: {error.str()}")
            self._next = (message.offset() or 0) + 1
            value = message.value()
            if message.key() != self._uid or value is None:
                continue
            size += len(value)
            try:
                envelopes.append((self._next - 1, message.timestamp()[1], rows_codec.decode(value)))
            except CodecError:
                continue  # reported when it was met first
        if self._next == first:
            raise KafkaUnavailable(f"Kafka sent nothing of {self._place.topic}/{self._place.partition}.")
        return Block(envelopes, self._next, at_end=False)
