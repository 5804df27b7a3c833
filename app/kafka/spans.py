"""Which offsets a range of time is of, and the first records of them, for who only looks. Blocking, within a budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from app.kafka.backwards import Budget
from app.kafka.names import Names
from app.kafka.ranges import BLOCK_BYTES, RangeReader, RangeRecord
from app.kafka.short_reads import ShortReads
from app.model.errors import KafkaUnavailable
from app.model.replay import OffsetRange
from app.settings import Settings


@dataclass(frozen=True)
class Span:
    """Offsets of each partition. `gone`: partitions of which retention has deleted what was before."""

    ranges: tuple[OffsetRange, ...]
    gone: tuple[int, ...]


@dataclass(frozen=True)
class Sampled:
    """Records with the ranges that they are of; `is_whole` when they are all of the ranges."""

    records: Sequence[tuple[OffsetRange, RangeRecord]]
    is_whole: bool


def read_span(settings: Settings, topic: str, from_ms: int, to_ms: int, seconds: float) -> Span:
    """Records stamped at or after `from_ms` and before `to_ms`, as far as they are there. Raises TopicUnreadable, and
    KafkaUnavailable when that takes longer than `seconds`.
    """
    reads = ShortReads(settings, topic)
    budget = reads.budget(seconds)
    ranges, gone = [], []
    with reads.consumer() as consumer:
        for number in range(reads.partitions(consumer, budget)):
            place = TopicPartition(topic, number)
            low, high = reads.ends(consumer, place, budget)
            first, end = (_offset(reads, consumer, place, high, ms, budget) for ms in (from_ms, to_ms))
            ranges.append(OffsetRange(number, first, max(first, end)))
            if low > 0 and first == low:
                gone.append(number)
    return Span(tuple(ranges), tuple(gone))


def read_sample(settings: Settings, topic: str, ranges: Sequence[OffsetRange], most: int, seconds: float) -> Sampled:
    """The first records of each range (of the topic, unless it names one), so many and about 4 MiB at most, and what is
    read within `seconds` or so. Ranges that cannot be read are left out. Raises KafkaUnavailable when nothing can.

    Short ranges are read first, so that what they leave of their share is for the longer ones.
    """
    records: list[tuple[OffsetRange, RangeRecord]] = []
    whole, size = True, 0
    trouble: KafkaUnavailable | None = None
    deadline = time.monotonic() + seconds
    wanted = sorted((part for part in ranges if part.count), key=lambda part: part.count)
    for number, part in enumerate(wanted):
        share = (most - len(records)) // (len(wanted) - number)
        if time.monotonic() >= deadline:
            whole = False
            break
        group = f"{Names(settings.topic_prefix).prefix}-reader"
        reader = RangeReader(settings, part.topic or topic, part.partition, part.end, group)
        try:
            offset = part.first
            while offset < part.end and share > 0 and size < BLOCK_BYTES:
                block = reader.read_now(offset, share)
                if block.next_offset == offset:
                    break
                offset = block.next_offset
                share -= len(block.records)
                size += sum(len(record.value or b"") for record in block.records)
                records += [(part, record) for record in block.records]
            whole = whole and offset >= part.end
        except KafkaUnavailable as error:
            whole, trouble = False, error
        finally:
            reader.close()
    if trouble is not None and not records:
        raise trouble
    return Sampled(records, whole)


def _offset(
    reads: ShortReads, consumer: Consumer, place: TopicPartition, high: int, time_ms: int, budget: Budget
) -> int:
    """Of the first record that is as new as this time; the end where none is."""

    def ask() -> int:
        at = TopicPartition(place.topic, place.partition, max(0, time_ms))
        (found,) = consumer.offsets_for_times([at], budget.seconds_left)
        if found.error is not None:
            raise KafkaException(found.error)
        return high if found.offset < 0 else int(found.offset)

    return reads.ask(consumer, ask, budget)
