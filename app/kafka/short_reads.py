"""Reading a topic on behalf of a call: a consumer that lives as long as the call, and how much it may read.

Blocking, in the caller's thread. Used by whoever reads backwards (`app.kafka.backwards`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from app.kafka.backwards import Budget
from app.kafka.client import consumer_config
from app.kafka.each_topic import TopicUnreadable
from app.model.conditions import KIB, MIB
from app.model.errors import KafkaUnavailable
from app.settings import Settings

_PAUSE_SECONDS = 0.1
T = TypeVar("T")


class ShortReads:
    """Of one topic; may be used by several threads at once."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings, self._topic = settings, topic

    def budget(self, seconds: float = math.inf) -> Budget:
        """As much as the settings allow, within these seconds."""
        settings = self._settings
        deadline = time.monotonic() + min(seconds, settings.dead_letter_read_seconds)
        return Budget(settings.dead_letter_read_records, settings.dead_letter_read_bytes, deadline)

    @contextmanager
    def consumer(self) -> Iterator[Consumer]:
        """Fetches little ahead: what lies behind a block was read before. What fails is KafkaUnavailable."""
        config = consumer_config(
            self._settings,
            enable_partition_eof=True,
            fetch_wait_max_ms=10,
            fetch_queue_backoff_ms=5,
            queued_max_messages_kbytes=4 * KIB,
        )
        consumer = Consumer({**config, "fetch.message.max.bytes": MIB, "queued.min.messages": 1000})
        try:
            yield consumer
        except KafkaException as error:
            raise KafkaUnavailable(f"Kafka does not answer about {self._topic}: {error.args[0].str()}") from error
        finally:
            consumer.close()

    def partitions(self, consumer: Consumer, budget: Budget) -> int:
        """How many the topic has."""
        known = consumer.list_topics(self._topic, budget.seconds_left).topics[self._topic]
        if known.error is not None or not known.partitions:
            raise TopicUnreadable(f"Topic {self._topic} is not there: `streams topics apply` creates it.")
        return len(known.partitions)

    def ends(self, consumer: Consumer, place: TopicPartition, budget: Budget) -> tuple[int, int]:
        """The first offset that is there, and the one after the last."""
        return self.ask(consumer, lambda: consumer.get_watermark_offsets(place, budget.seconds_left), budget)

    def ask(self, consumer: Consumer, question: Callable[[], T], budget: Budget) -> T:
        """A topic that is new, or whose leader changed, is refused until the consumer has learnt of it anew."""
        while True:
            try:
                return question()
            except KafkaException:
                if budget.seconds_left <= _PAUSE_SECONDS:
                    raise
            time.sleep(_PAUSE_SECONDS)
            consumer.list_topics(self._topic, budget.seconds_left)
