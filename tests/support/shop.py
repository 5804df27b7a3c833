"""Topics that are somebody else's and their records, for tests of receivers that are bound to them."""

from __future__ import annotations

from collections import Counter

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from app.kafka.plan import describe_topics


class Shop:
    def __init__(self, kafka: str, prefix: str) -> None:
        """Their names begin with the prefix and a hyphen."""
        self._kafka, self._prefix = {"bootstrap.servers": kafka}, prefix
        self._admin = AdminClient(self._kafka)
        self.sent: dict[str, Counter[str]] = {}
        """What must be in each table."""

    def name(self, topic: str) -> str:
        return f"{self._prefix}-{topic}"

    def make(self, topic: str, partitions: int) -> None:
        new = NewTopic(self.name(topic), partitions, 1, config={"retention.ms": "86400000"})
        self._admin.create_topics([new])[self.name(topic)].result(30)

    def grow(self, topic: str, partitions: int) -> None:
        self._admin.create_partitions([NewPartitions(self.name(topic), partitions)])[self.name(topic)].result(30)

    def send(self, topic: str, count: int, partition: int, table: str = "") -> None:
        producer = Producer(self._kafka)  # a new one, since another may not know new partitions
        bodies = [f"{topic}/{partition}/{number}" for number in range(count)]
        for body in bodies:
            producer.produce(self.name(topic), body, partition=partition)
        assert producer.flush(60) == 0
        self.sent.setdefault(table, Counter()).update(bodies)

    def state(self, *topics: str) -> object:
        """Settings, partitions and ends."""
        names = [self.name(topic) for topic in topics]
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        configs = [future.result(30) for future in self._admin.describe_configs(resources).values()]
        described = describe_topics(self._admin, names)
        places = [TopicPartition(name, number) for name in names for number in range(described[name][1])]
        ends = self._admin.list_offsets({place: OffsetSpec.latest() for place in places})  # type: ignore[no-untyped-call]  # the package has no types here
        return (
            described,
            [{key: entry.value for key, entry in config.items()} for config in configs],
            {(place.topic, place.partition): future.result(30).offset for place, future in ends.items()},
        )
