"""Reading a partition to its end, committed records only; blocking, in the caller's thread.

The end is the last stable offset, and it is reached when the reader's *position* is there: the last record's offset
never is, because of transaction markers and compaction (delivery protocol, rule 6).
"""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from app.kafka.client import consumer_config, passes
from app.model.errors import KafkaUnavailable
from app.settings import Settings

_WAIT_MS = 10
"""How long the broker may hold back its answer that the end is reached; 500 by default, which each reading would cost.
"""


def read_to_end(
    settings: Settings, topic: str, partition: int, offset: int = 0, *, silence_seconds: float = 30
) -> Iterator[Message]:
    """Every committed record of the partition from `offset` to the end found on the way.

    Raises KafkaUnavailable when nothing comes for `silence_seconds`, never ends early without saying so.
    """
    consumer = Consumer(consumer_config(settings, enable_partition_eof=True, fetch_wait_max_ms=_WAIT_MS))
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        while True:
            first = consumer.poll(silence_seconds)
            if first is None:
                raise KafkaUnavailable(f"Kafka sent nothing of {topic}/{partition} for {silence_seconds:g} s.")
            for message in (first, *consumer.consume(1000, 0)):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                elif not passes(error):
                    raise KafkaUnavailable(f"{topic}/{partition} cannot be read: {error.str()}")
    finally:
        consumer.close()
