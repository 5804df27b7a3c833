"""Waiting for what a transaction wrote: Kafka answers a commit before its marker is in every partition."""

from __future__ import annotations

import time

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from app.kafka.client import connect_admin
from app.kafka.plan import describe_topics
from app.settings import Settings

DEADLINE_SECONDS = 60


def until_visible(settings: Settings, topic: str) -> None:
    """Wait until readers of committed records see all that the topic has."""
    admin = connect_admin(settings)
    _, partitions = describe_topics(admin, [topic])[topic]
    deadline = time.monotonic() + DEADLINE_SECONDS
    while _ends(admin, topic, partitions, IsolationLevel.READ_COMMITTED) != _ends(
        admin, topic, partitions, IsolationLevel.READ_UNCOMMITTED
    ):
        assert time.monotonic() < deadline, f"a transaction on {topic} has no end"
        time.sleep(0.005)


def _ends(admin: AdminClient, topic: str, partitions: int, isolation: IsolationLevel) -> list[int]:
    wanted = {TopicPartition(topic, number): OffsetSpec.latest() for number in range(partitions)}
    answers = admin.list_offsets(wanted, isolation_level=isolation, request_timeout=DEADLINE_SECONDS)
    return [int(answers[place].result(DEADLINE_SECONDS).offset) for place in wanted]
