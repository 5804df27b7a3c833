"""The first record at a place of a topic: which it is, and the broker's time. Blocking, in the caller's thread."""

from __future__ import annotations

import time
from collections.abc import Collection

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from app.kafka.client import consumer_config, passes
from app.kafka.faust import Partition
from app.kafka.lag import Oldest, Place
from app.settings import Settings

_FETCH_BYTES = 16 << 10
_SECONDS = 5.0


def first_records(settings: Settings, places: list[Place]) -> tuple[dict[Place, Oldest | None], dict[Partition, str]]:
    """For each place (of different partitions) the first record there or behind it; None when there is none any more.

    And why, of partitions that may not be read. Places that Kafka says nothing of in time are in neither.
    """
    if not places:
        return {}, {}
    config = consumer_config(settings, enable_partition_eof=True, fetch_wait_max_ms=100, queued_min_messages=1)
    consumer = Consumer({**config, "fetch.message.max.bytes": _FETCH_BYTES})  # a larger record comes all the same
    found: dict[Place, Oldest | None] = {}
    refused: dict[Partition, str] = {}
    waiting = {Partition(topic, partition): (topic, partition, offset) for topic, partition, offset in places}
    try:
        consumer.assign([TopicPartition(*place) for place in places])
        deadline = time.monotonic() + _SECONDS
        while waiting and (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                break
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if passes(error):
                    continue
                for source in _named(message, waiting):
                    refused[source] = error.str()
                    del waiting[source]
                continue
            source = Partition(message.topic() or "", message.partition() or 0)
            place = waiting.pop(source, None)
            if place is not None:
                found[place] = None if error is not None else Oldest(message.offset() or 0, message.timestamp()[1])
                consumer.pause([TopicPartition(*source)])
        return found, refused
    finally:
        consumer.close()


def _named(message: Message, waiting: Collection[Partition]) -> list[Partition]:
    """The partitions that an error is about: one, all of a topic, or all where it names none."""
    topic, partition = message.topic(), message.partition()
    return [
        source
        for source in waiting
        if topic in (None, "", source.topic) and (partition is None or partition < 0 or partition == source.partition)
    ]
