"""The newest records of a topic, over all its partitions: read back from the ends, committed ones only; blocking.

Nothing is left behind in Kafka: no group is joined and no offset committed. What is held is bounded in records and in
bytes, the reading in seconds.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from app.kafka.client import consumer_config, passes
from app.model.errors import KafkaUnavailable
from app.settings import Settings

_QUEUE_KIB = 8192
"""What librdkafka may fetch ahead of us."""
_PAUSE_SECONDS = 0.05
_WIDEN = 8
"""Where transaction markers or tombstones stood, so many times as many offsets are looked at next."""


@dataclass(frozen=True, slots=True)
class RecentRecord:
    """One record with a value. `timestamp` is in milliseconds."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes | None]]
    topic: str = ""

    @property
    def size(self) -> int:
        """Bytes of value and headers."""
        return len(self.value) + sum(len(name) + len(value or b"") for name, value in self.headers)


def read_recent(
    settings: Settings, topic: str, starts: Mapping[int, int], count: int, *, max_bytes: int, seconds: float
) -> list[RecentRecord]:
    """The last `count` records of the topic by their timestamps, oldest first; tombstones do not count.

    Fewer when there are no more at or after `starts` (offset by partition, 0 where none is named), or when the newest
    come to `max_bytes`; the very newest is there whatever its size. Raises KafkaUnavailable when that takes longer
    than `seconds`.
    """
    deadline = time.monotonic() + seconds
    newest = Newest(count, max_bytes)
    reader = _Reader(settings, topic, deadline)
    try:
        stretches = reader.stretches(starts, count)
        while stretches:
            read = reader.read([s for s in stretches if s.start < s.stop], newest)
            stretches = [s.before() for s in stretches if read.get(s.partition, 0) < count and s.first < s.start]
    except KafkaException as error:
        raise KafkaUnavailable(f"{topic} cannot be read: {error.args[0].str()}") from error
    finally:
        reader.close()
    return newest.records()


def newest_of(
    some: Sequence[RecentRecord], others: Sequence[RecentRecord], count: int, max_bytes: int
) -> list[RecentRecord]:
    """The newest of records of two topics, oldest first, within the bounds; the very newest whatever its size. Pure."""
    found = sorted([*some, *others], key=lambda record: record.timestamp, reverse=True)[:count]
    size = list(accumulate(record.size for record in found))
    return [record for number, record in enumerate(found) if not number or size[number] <= max_bytes][::-1]


class Newest:
    """Keeps the newest of the records that it is shown, in any order, as many as the bounds allow.

    One that is left out for the bounds leaves out all that are older, so that what is kept has no gap.
    """

    def __init__(self, count: int, max_bytes: int) -> None:
        self._count, self._max_bytes = count, max_bytes
        self._heap: list[tuple[tuple[int, int, int], RecentRecord]] = []
        self._bytes = 0
        self._floor = (-1, -1, -1)

    def add(self, record: RecentRecord) -> None:
        place = (record.timestamp, record.partition, record.offset)
        if place < self._floor:
            return
        heapq.heappush(self._heap, (place, record))
        self._bytes += record.size
        while len(self._heap) > self._count or (self._bytes > self._max_bytes and len(self._heap) > 1):
            self._floor, oldest = heapq.heappop(self._heap)
            self._bytes -= oldest.size

    def records(self) -> list[RecentRecord]:
        """Oldest first."""
        return [record for _, record in sorted(self._heap)]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Offsets of a partition from `start` to before `stop`; none before `first` are wanted."""

    partition: int
    first: int
    start: int
    stop: int

    def before(self) -> _Stretch:
        """The longer one that lies before it."""
        length = _WIDEN * max(1, self.stop - self.start)
        return _Stretch(self.partition, self.first, max(self.first, self.start - length), self.start)


class _Reader:
    def __init__(self, settings: Settings, topic: str, deadline: float) -> None:
        self._topic, self._deadline = topic, deadline
        self._consumer = Consumer(
            consumer_config(
                settings, enable_partition_eof=True, fetch_wait_max_ms=10, queued_max_messages_kbytes=_QUEUE_KIB
            )
        )

    def close(self) -> None:
        self._consumer.close()

    def stretches(self, starts: Mapping[int, int], count: int) -> list[_Stretch]:
        """The last `count` offsets of each partition."""
        found = self._consumer.list_topics(self._topic, timeout=self._seconds()).topics[self._topic]
        if found.error is not None:
            raise KafkaUnavailable(f"{self._topic} cannot be read: {found.error.str()}")
        stretches = []
        for partition in found.partitions:
            low, stop = self._ends(TopicPartition(self._topic, partition))
            first = max(low, starts.get(partition, 0))
            stretches.append(_Stretch(partition, first, max(first, stop - count), stop))
        return stretches

    def _ends(self, place: TopicPartition) -> tuple[int, int]:
        """The first offset of a partition and that after its last. A new leader is waited for."""
        while True:
            try:
                ends = self._consumer.get_watermark_offsets(place, timeout=self._seconds())
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                    raise
                time.sleep(_PAUSE_SECONDS)
                self._consumer.list_topics(self._topic, timeout=self._seconds())  # learns who leads
            else:
                if ends is not None:
                    return ends

    def read(self, stretches: Sequence[_Stretch], newest: Newest) -> dict[int, int]:
        """Show what lies in the stretches; how many records of each partition that were."""
        stops = {stretch.partition: stretch.stop for stretch in stretches}
        found = dict.fromkeys(stops, 0)
        self._consumer.assign([TopicPartition(self._topic, s.partition, s.start) for s in stretches])
        while stops:
            first = self._consumer.poll(self._seconds())
            for message in () if first is None else (first, *self._consumer.consume(100, 0)):
                partition, offset = message.partition(), message.offset()
                if message.error() is not None:
                    self._take_error(message, stops)
                elif partition in stops and offset is not None:
                    if offset < stops[partition] and (record := _record(message)) is not None:
                        newest.add(record)
                        found[partition] += 1
                    if offset + 1 >= stops[partition]:
                        del stops[partition]
        return found

    def _take_error(self, message: Message, stops: dict[int, int]) -> None:
        error = message.error()
        assert error is not None
        if error.code() == KafkaError._PARTITION_EOF:
            stops.pop(message.partition() or 0, None)
        elif not passes(error):
            raise KafkaUnavailable(f"{self._topic} cannot be read: {error.str()}")

    def _seconds(self) -> float:
        """How long may still be waited. Raises KafkaUnavailable."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise KafkaUnavailable(f"Kafka did not give the newest records of {self._topic} in time.")
        return left


def _record(message: Message) -> RecentRecord | None:
    """None for a tombstone."""
    value, (_, timestamp) = message.value(), message.timestamp()
    if value is None:
        return None
    headers = cast(list[tuple[str, bytes | None]], message.headers() or [])
    place = message.partition() or 0, message.offset() or 0
    return RecentRecord(*place, timestamp, message.key(), value, headers, message.topic() or "")
