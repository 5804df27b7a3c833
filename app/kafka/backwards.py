"""Reading a partition backwards, committed records only: Kafka reads forwards alone, so it is done in blocks.

Each block is read forwards, the newest block first. Its span follows the size of the records met so far, so that memory
and time stay bounded whether records have 100 bytes or 3 MiB. Blocking, in the caller's thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from app.kafka.client import passes
from app.model.conditions import MIB
from app.model.errors import KafkaUnavailable

FIRST_SPAN = 16
MAX_SPAN = 20_000
_GROWTH = 8
_TARGET_BYTES = 4 * MIB
_AT_ONCE, _PAUSE_SECONDS = 200, 0.0005
"""Records between two pauses, in which other threads of the process (a gateway's event loop) have the interpreter."""
MAX_BLOCK_BYTES = 16 * MIB
"""A block that turns out to be larger is given up and read again as smaller ones."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it lies in a partition."""

    offset: int
    time_ms: int
    """The broker's time where the topic has LogAppendTime, else the producer's."""
    value: bytes
    """Empty for a tombstone."""
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class Block:
    """What is wanted of the offsets from `first` to before the block above, in ascending order."""

    first: int
    records: list[Stored]


@dataclass(slots=True)
class Budget:
    """How much may be read. It is looked at between blocks, and the time within one too."""

    records: int
    bytes: int
    deadline: float
    """Monotonic time."""
    spent_records: int = field(default=0, init=False)
    spent_bytes: int = field(default=0, init=False)

    @property
    def is_spent(self) -> bool:
        return self.spent_records >= self.records or self.spent_bytes >= self.bytes or self.seconds_left <= 0

    @property
    def seconds_left(self) -> float:
        """Never below 0, which to librdkafka is no bound."""
        return max(0.0, self.deadline - time.monotonic())


class _Overdue(Exception):
    """The time has run out in the middle of a block."""


def read_backwards(
    consumer: Consumer, place: TopicPartition, first: int, end: int, wanted: Callable[[Message], bool], budget: Budget
) -> Iterator[Block]:
    """Blocks of the offsets from `first` to before `end`, the newest first, until all is read or the budget is spent.

    `consumer` must report ends of partitions (`enable.partition.eof`); its assignment is replaced. Ends early when
    the budget is spent after at least one block; raises KafkaUnavailable when not even one came in time.
    """
    span, begun = FIRST_SPAN, False
    while end > first and not (begun and budget.is_spent):
        start = max(first, end - span)
        before = budget.spent_bytes
        try:
            records, met = _read_block(consumer, place, start, end, wanted, budget)
        except _Overdue:
            if begun:
                return
            raise KafkaUnavailable(f"Kafka sent too little of {place.topic}/{place.partition} in time.") from None
        if records is None:
            span = max(1, met // 2)
            continue
        yield Block(start, records)
        begun = True
        span = next_span(end - start, budget.spent_bytes - before)
        end = start


def next_span(span: int, size_bytes: int) -> int:
    """Offsets of the next block after one that had so many of them and so many bytes.

    >>> next_span(16, 16 * 100), next_span(1024, 1024 * 3_000_000), next_span(20_000, 0)
    (128, 1, 20000)
    """
    by_size = _TARGET_BYTES * span // max(1, size_bytes)
    return max(1, min(by_size, span * _GROWTH, MAX_SPAN))


def _read_block(
    consumer: Consumer, place: TopicPartition, start: int, end: int, wanted: Callable[[Message], bool], budget: Budget
) -> tuple[list[Stored] | None, int]:
    """The wanted records of one block, None when it has too many bytes; and how many records were met."""
    consumer.assign([TopicPartition(place.topic, place.partition, start)])
    records: list[Stored] = []
    met = size = 0
    while True:
        message = consumer.poll(budget.seconds_left)
        if message is None:
            raise _Overdue
        for one in (message, *consumer.consume(_AT_ONCE, 0)):
            error, offset = one.error(), one.offset()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    return records, met
                if not passes(error):
                    raise KafkaUnavailable(f"{place.topic}/{place.partition} cannot be read: {error.str()}")
                continue
            assert offset is not None
            if offset >= end:
                return records, met
            met += 1
            size += len(one)
            budget.spent_records += 1
            budget.spent_bytes += len(one)
            if wanted(one):
                records.append(Stored(offset, one.timestamp()[1], one.value() or b"", one.key() or b""))
            if offset == end - 1:
                return records, met
        if size > MAX_BLOCK_BYTES and met > 1:
            return None, met
        time.sleep(_PAUSE_SECONDS)
