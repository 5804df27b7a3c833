"""What clients are set to, where records are that readers look for by their keys, and which errors end a reading."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from app.kafka.client import connect_admin, partition_of_key, passes
from app.model.errors import ConfigurationError
from app.settings import Settings


def test_partition_of_a_key_never_changes() -> None:
    """Commands of a project, and dead letters of an export, are looked for where earlier versions put them."""
    assert [partition_of_key(key, 4) for key in ("1", "1234", "9000", "1234/clicks/all")] == [3, 3, 0, 2]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._ALL_BROKERS_DOWN, True),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, True),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, False),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, False),
    ],
)
def test_reading_goes_on_where_brokers_come_back_or_only_the_group_is_refused(code: int, expected: bool) -> None:
    assert passes(KafkaError(code)) is expected


def test_reading_goes_on_after_what_librdkafka_tries_again() -> None:
    assert passes(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION, retriable=True))


def test_setting_that_librdkafka_does_not_know_is_refused_with_its_words() -> None:
    settings = Settings(_env_file=None, kafka_properties={"foo.bar": "1"})

    with pytest.raises(ConfigurationError, match=r'STREAMS_KAFKA_\* cannot be used: .*"foo\.bar"'):
        connect_admin(settings)
