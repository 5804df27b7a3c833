"""Numbered records in a topic of an operator's, and what became of each behind a sink."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import Producer
from gateway_process import wait_for

from app.kafka.client import connect_admin
from app.kafka.plan import TopicSpec, create_topics, describe_topics
from app.kafka.reader import read_to_end
from app.settings import Settings

DEADLINE_SECONDS = 60


@dataclass(frozen=True)
class Source:
    """A topic of `partitions` with `records` records, `{"n": number}`, evenly spread."""

    settings: Settings
    topic: str
    partitions: int
    records: int

    @property
    def end(self) -> dict[tuple[str, int], int]:
        """What a sink has committed when it is through, by topic and partition."""
        share = self.records // self.partitions
        return {(self.topic, partition): share for partition in range(self.partitions)}

    def fill(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Make the topic and its records; `headers` of each."""
        assert self.records % self.partitions == 0
        make_topic(self.settings, self.topic, self.partitions)
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "linger.ms": 5})
        for number in range(self.records):
            partition = number % self.partitions
            producer.produce(self.topic, json.dumps({"n": number}), partition=partition, headers=list(headers))
            producer.poll(0)
        assert producer.flush(DEADLINE_SECONDS) == 0


def make_topic(settings: Settings, topic: str, partitions: int) -> None:
    admin = connect_admin(settings)
    create_topics(admin, [TopicSpec(topic, partitions, 1, {})])
    wait_for(lambda: topic in describe_topics(admin, [topic]), topic)


def numbers_in(settings: Settings, topic: str) -> list[int]:
    """Of the records of a topic's first partition: a dead letter queue."""
    return sorted(number(message.value() or b"") for message in read_to_end(settings, topic, 0))


def number(body: bytes) -> int:
    found: int = json.loads(body)["n"]
    return found


def ids_by_number(events: Iterable[tuple[bytes, Iterable[tuple[str, bytes]]]]) -> dict[int, set[bytes]]:
    """The event ids under which each number was stored: as many rows as it has in a table whose key is the id."""
    ids: dict[int, set[bytes]] = defaultdict(set)
    for body, headers in events:
        ids[number(body)].add(dict(headers)["streams.id"])
    return ids
