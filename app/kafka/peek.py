"""The first record at a place of a topic: which it is, and the broker's time. Blocking, in the caller's thread."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from app.kafka.client import consumer_config
from app.kafka.lag import Oldest, Place
from app.model.errors import KafkaUnavailable
from app.settings import Settings

_FETCH_BYTES = 16 << 10
_SECONDS = 5.0


def first_records(settings: Settings, places: list[Place]) -> dict[Place, Oldest | None]:
    """For each place (of different partitions) the first record there or behind it; None when there is none any more.

    Places that Kafka says nothing of in time are left out. Raises KafkaUnavailable when one may not be read.
    """
    if not places:
        return {}
    config = consumer_config(settings, enable_partition_eof=True, fetch_wait_max_ms=100, queued_min_messages=1)
    consumer = Consumer({**config, "fetch.message.max.bytes": _FETCH_BYTES})  # a larger record comes all the same
    found: dict[Place, Oldest | None] = {}
    waiting = {(topic, partition): (topic, partition, offset) for topic, partition, offset in places}
    try:
        consumer.assign([TopicPartition(*place) for place in places])
        deadline = time.monotonic() + _SECONDS
        while waiting and (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is None:
                break
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.retriable() or error.code() == KafkaError._ALL_BROKERS_DOWN:
                    continue
                raise KafkaUnavailable(f"the oldest record that waits cannot be looked at: {error.str()}")
            source = (message.topic() or "", message.partition() or 0)
            place = waiting.pop(source, None)
            if place is not None:
                found[place] = None if error is not None else Oldest(message.offset() or 0, message.timestamp()[1])
                consumer.pause([TopicPartition(*source)])
        return found
    finally:
        consumer.close()
