"""The newest records of a real topic, read back from its ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from gateway_process import wait_for

from app.kafka.client import connect_admin, producer_config
from app.kafka.recent import read_recent
from app.model.errors import KafkaUnavailable
from app.settings import Settings

SECONDS = 60
MANY_BYTES = 1 << 30


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    return Settings(_env_file=None, kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix)


@pytest.fixture
def topic(settings: Settings) -> str:
    """With three partitions whose records have the producer's timestamps."""
    name = f"events-{uuid.uuid4().hex[:12]}"
    admin: AdminClient = connect_admin(settings)
    admin.create_topics([NewTopic(name, 3, 1, config={"message.timestamp.type": "CreateTime"})])[name].result(SECONDS)
    return name


@pytest.fixture
def write(settings: Settings, topic: str) -> Callable[..., None]:
    """write((partition, timestamp, value), ..., transaction=None)."""

    def send(*records: tuple[int, int, bytes | None], commit: bool | None = None) -> None:
        others = {} if commit is None else {"transactional_id": f"t-{uuid.uuid4().hex}"}
        producer = Producer(producer_config(settings, **others))
        if commit is not None:
            producer.init_transactions(SECONDS)
            producer.begin_transaction()
        for partition, timestamp, value in records:
            producer.produce(topic, value, partition=partition, timestamp=timestamp, headers=[("n", b"1")])
        assert producer.flush(SECONDS) == 0
        if commit is not None:
            (producer.commit_transaction if commit else producer.abort_transaction)(SECONDS)

    return send


def values(settings: Settings, topic: str, count: int, **bounds: int) -> list[bytes]:
    given = {"max_bytes": MANY_BYTES, "seconds": SECONDS, **bounds}
    return [r.value for r in read_recent(settings, topic, {}, count, **given)]  # type: ignore[arg-type]  # ints


def test_newest_of_all_partitions_come_by_time(settings: Settings, topic: str, write: Callable[..., None]) -> None:
    write((0, 1, b"a"), (1, 2, b"b"), (0, 3, b"c"), (2, 4, b"d"), (2, 5, b"e"), (1, 6, b"f"))

    found = read_recent(settings, topic, {}, 4, max_bytes=MANY_BYTES, seconds=SECONDS)

    assert [(r.partition, r.offset, r.timestamp, r.value) for r in found] == [
        (0, 1, 3, b"c"),
        (2, 0, 4, b"d"),
        (2, 1, 5, b"e"),
        (1, 1, 6, b"f"),
    ]
    assert found[0].headers == [("n", b"1")]


def test_empty_topic_has_none(settings: Settings, topic: str) -> None:
    assert values(settings, topic, 10) == []


def test_tombstones_and_aborted_records_are_passed_over(
    settings: Settings, topic: str, write: Callable[..., None]
) -> None:
    write((0, 1, b"a"), (0, 2, b"b"), (0, 3, b"c"))
    write(*[(0, 4, None)] * 12)
    write(*[(0, 5, b"never")] * 5, commit=False)
    write((0, 6, b"d"), commit=True)

    wait_for(lambda: values(settings, topic, 1) == [b"d"], "the end of the transaction, which readers see a bit later")
    assert values(settings, topic, 3) == [b"b", b"c", b"d"]


def test_records_before_the_receivers_start_are_not_its_own(
    settings: Settings, topic: str, write: Callable[..., None]
) -> None:
    write((0, 1, b"a"), (0, 2, b"b"), (1, 3, b"c"))

    found = read_recent(settings, topic, {0: 1, 1: 1}, 10, max_bytes=MANY_BYTES, seconds=SECONDS)

    assert [record.value for record in found] == [b"b"]


def test_bytes_are_bounded_but_the_newest_is_there(settings: Settings, topic: str, write: Callable[..., None]) -> None:
    write((0, 1, b"tiny"), (1, 2, b"x" * 2000), (2, 3, b"y" * 2000))

    assert values(settings, topic, 10, max_bytes=1000) == [b"y" * 2000]
    assert values(settings, topic, 10, max_bytes=4000) == [b"y" * 2000]
    assert values(settings, topic, 10, max_bytes=5000) == [b"tiny", b"x" * 2000, b"y" * 2000]


def test_nothing_is_left_in_kafka(settings: Settings, topic: str, write: Callable[..., None]) -> None:
    write((0, 1, b"a"))

    assert values(settings, topic, 1) == [b"a"]

    admin = connect_admin(settings)
    groups = admin.list_consumer_groups(request_timeout=SECONDS).result(SECONDS).valid
    assert [group.group_id for group in groups if group.group_id.startswith(settings.topic_prefix)] == []


def test_kafka_that_is_away_is_said_in_time(settings: Settings) -> None:
    away = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})

    with pytest.raises(KafkaUnavailable):
        values(away, "events", 1, seconds=1)


def test_topic_that_is_not_there_is_said(settings: Settings) -> None:
    with pytest.raises(KafkaUnavailable, match="nowhere cannot be read"):
        values(settings, "nowhere", 1)
