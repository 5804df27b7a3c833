"""What a real controller says of a topic that a broker does not show."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import AdminClient

from app.kafka import gone
from app.kafka.client import connect_admin
from app.kafka.gone import is_surely_gone
from app.kafka.plan import TopicSpec, create_topics, describe_topics
from app.model.errors import KafkaUnavailable
from app.settings import Settings


async def not_shown() -> str | None:
    return None


@pytest.fixture
def admin(kafka: str, monkeypatch: pytest.MonkeyPatch) -> AdminClient:
    monkeypatch.setattr(gone, "PAUSE_SECONDS", 0)
    return connect_admin(Settings(_env_file=None, kafka_bootstrap_servers=kafka))


async def test_topic_that_a_broker_does_not_show_for_long_is_not_gone_while_the_controller_has_it(
    admin: AdminClient,
) -> None:
    name = f"events-{uuid.uuid4().hex[:12]}"
    create_topics(admin, [TopicSpec(name, 1, 1, {})])

    with pytest.raises(KafkaUnavailable, match="does not know it"):
        await is_surely_gone(admin, name, "id", not_shown)


async def test_topic_that_the_controller_does_not_have_is_gone_and_not_made_by_asking(admin: AdminClient) -> None:
    name = f"events-{uuid.uuid4().hex[:12]}"

    assert await is_surely_gone(admin, name, "id", not_shown)
    assert describe_topics(admin, [name]) == {}
