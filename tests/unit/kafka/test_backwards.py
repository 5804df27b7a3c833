"""Reading backwards when Kafka is slow or records are large; a real partition is read in `tests/integration/kafka`."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, TopicPartition

from app.kafka.backwards import MAX_BLOCK_BYTES, Block, Budget, read_backwards
from app.model.errors import KafkaUnavailable

PLACE = TopicPartition("letters", 0)


class Message:
    def __init__(self, offset: int, size: int) -> None:
        self._offset, self._size = offset, size

    def __len__(self) -> int:
        return self._size

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return 2, 1000

    def value(self) -> bytes:
        return b"x"

    def key(self) -> bytes:
        return b"k"


class Partition:
    """A consumer of a partition that has a record at every offset; silent after `most` of them."""

    def __init__(self, *, most: int = 10**6, size: int = 10) -> None:
        self.assigned: list[int] = []
        self._left, self._size, self._next = most, size, 0

    def assign(self, places: list[TopicPartition]) -> None:
        self._next = places[0].offset
        self.assigned.append(self._next)

    def poll(self, timeout: float) -> Message | None:
        if not self._left:
            return None
        self._left -= 1
        self._next += 1
        return Message(self._next - 1, self._size)

    def consume(self, count: int, timeout: float) -> list[Message]:
        return []


def read(partition: Partition, first: int, end: int, **bounds: Any) -> list[Block]:
    budget = Budget(**{"records": 10**6, "bytes": 1 << 40, "deadline": time.monotonic() + 60, **bounds})
    return list(read_backwards(cast(Consumer, partition), PLACE, first, end, lambda message: True, budget))


def test_blocks_meet_each_offset_once_and_grow() -> None:
    blocks = read(Partition(), 3, 300)

    assert [block.first for block in blocks] == [284, 156, 3]
    assert [one.offset for block in reversed(blocks) for one in block.records] == list(range(3, 300))


def test_kafka_that_falls_silent_leaves_what_was_read_before() -> None:
    blocks = read(Partition(most=20), 0, 300)

    assert [block.first for block in blocks] == [284]


def test_kafka_that_is_silent_from_the_start_is_unavailable() -> None:
    with pytest.raises(KafkaUnavailable):
        read(Partition(most=15), 0, 300)


def test_block_that_is_too_large_is_read_again_as_smaller_ones() -> None:
    partition = Partition(size=MAX_BLOCK_BYTES // 3)

    blocks = read(partition, 0, 20)

    assert [one.offset for block in reversed(blocks) for one in block.records] == list(range(20))
    assert max(len(block.records) for block in blocks) <= 4
    assert len(partition.assigned) == len(blocks) + 1


def test_record_larger_than_a_block_may_be_is_read() -> None:
    blocks = read(Partition(size=2 * MAX_BLOCK_BYTES), 0, 3)

    assert [block.first for block in blocks] == [2, 1, 0]


@pytest.mark.parametrize("bounds", [{"records": 1}, {"bytes": 1}, {"deadline": 0.0}])
def test_one_block_is_read_whatever_the_bounds(bounds: dict[str, float]) -> None:
    assert [block.first for block in read(Partition(), 0, 300, **bounds)] == [284]
