"""What the delivery protocol needs of topics and clients, as they are planned."""

from __future__ import annotations

import pytest

from app.kafka.client import consumer_config, producer_config
from app.kafka.names import Names
from app.kafka.plan import TopicSpec, receiver_topic, system_topics
from app.settings import Settings

SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
NAMES = Names(SETTINGS.topic_prefix)
TOPICS = {spec.name: spec for spec in (*system_topics(SETTINGS), receiver_topic(SETTINGS, "events"))}
FOUR_MIB = 4 << 20


@pytest.mark.parametrize("topic", [NAMES.rows, NAMES.ledger, NAMES.dead_letters, "events"])
def test_broker_stamps_what_windows_and_retention_age_by(topic: str) -> None:
    """Rule 24: what a sender's clock says would close windows, or delete events, at once."""
    assert TOPICS[topic].config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("spec", TOPICS.values(), ids=lambda spec: spec.name)
def test_topics_take_an_envelope_of_one_large_entry(spec: TopicSpec) -> None:
    """Rule 4: an envelope is about 900 KB, or one entry, up to 4 MiB."""
    assert spec.config["max.message.bytes"] == str(FOUR_MIB)


def test_producers_and_fetchers_take_it_too() -> None:
    sent = producer_config(SETTINGS)["message.max.bytes"]
    fetched = consumer_config(SETTINGS)["fetch.message.max.bytes"]

    assert (sent, fetched) == (FOUR_MIB, FOUR_MIB)


def test_acknowledged_means_on_all_in_sync_replicas_and_read_means_committed() -> None:
    """A 200, and a chunk that is done, stand on the one (rule 3); the read barrier on the other (rule 6)."""
    producer, consumer = producer_config(SETTINGS), consumer_config(SETTINGS)

    assert (producer["acks"], producer["enable.idempotence"]) == ("all", True)
    assert (consumer["isolation.level"], consumer["enable.auto.commit"]) == ("read_committed", False)
