"""Receivers of topics that are there already: where they begin, and that the topic stays as it was."""

from __future__ import annotations

import uuid

import pytest
from buffer_stack import Client, export_body, make_settings
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from app.kafka.client import connect_admin
from app.kafka.plan import describe_topics
from app.local.storage import Emulator
from app.model.receiver import SourceOffset
from app.settings import Settings

pytestmark = pytest.mark.usefixtures("control")
TIMES_MS = (1_000_000, 2_000_000, 3_000_000)
"""Of the records in partition 0; partition 1 has the first one alone."""


@pytest.fixture(scope="module")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    return make_settings(kafka, f"test-{uuid.uuid4().hex[:12]}", emulator_process, source_topics="*:orders-*")


@pytest.fixture
def admin(settings: Settings) -> AdminClient:
    return connect_admin(settings)


@pytest.fixture
def orders(settings: Settings, admin: AdminClient) -> str:
    """A topic of others, with records."""
    topic = f"orders-{uuid.uuid4().hex[:10]}"
    (made,) = admin.create_topics([NewTopic(topic, 2, 1, config={"retention.ms": "-1"})]).values()
    made.result(30)
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for number, time_ms in enumerate(TIMES_MS):
        producer.produce(topic, b"{}", partition=0, timestamp=time_ms)
        if not number:
            producer.produce(topic, b"{}", partition=1, timestamp=time_ms)
    assert producer.flush(30) == 0
    return topic


@pytest.mark.parametrize(
    ("begin", "offsets"),
    [
        ("earliest", []),
        ("1970-01-01T00:33:20Z", [(0, 1), (1, 1)]),
        ("latest", [(0, 3), (1, 1)]),
        (None, [(0, 3), (1, 1)]),
    ],
)
async def test_receiver_begins_where_it_is_told_to(
    api: Client, admin: AdminClient, orders: str, name: str, begin: str | None, offsets: list[tuple[int, int]]
) -> None:
    source = {"topic": orders} if begin is None else {"topic": orders, "from": begin}
    body = {"name": name, "source": source, "exports": [export_body("e", f"in.c-{name}.t")]}

    await api.create("/v1/receivers", body)

    await api.view.caught_up()
    topic_id = describe_topics(admin, [orders])[orders][0]
    receiver = api.view.catalog.receivers_by_topic[orders]
    (export,) = api.view.catalog.exports_of(receiver)
    expected = tuple(SourceOffset(topic_id, partition, offset) for partition, offset in offsets)
    assert (receiver.topic_id, receiver.starts, export.starts) == (topic_id, expected, expected)


async def test_topic_is_neither_changed_nor_deleted_and_is_read_by_one(
    api: Client, admin: AdminClient, orders: str, name: str
) -> None:
    def state() -> object:
        resource = ConfigResource(ConfigResource.Type.TOPIC, orders)
        configs = admin.describe_configs([resource])[resource].result(30)
        return describe_topics(admin, [orders]), {key: entry.value for key, entry in configs.items()}

    before = state()
    await api.create("/v1/receivers", {"name": name, "source": {"topic": orders}})
    await api.create(f"/v1/receivers/{name}/exports", export_body("e", f"in.c-{name}.t"))
    shown = (await api.get(f"/v1/receivers/{name}")).json()
    second = await api.post("/v1/receivers", {"name": f"{name}-2", "source": {"topic": orders}})
    refused = await api.delete(f"/v1/receivers/{name}?deleteTopic=true")
    deleted = await api.delete(f"/v1/receivers/{name}?discard=true")

    assert (shown["source"], "url" in shown) == ({"topic": orders}, False)
    assert (second.status_code, second.json()["error"]) == (409, "buffer.topicInUse")
    assert (refused.status_code, deleted.status_code) == (400, 200)
    assert state() == before


async def test_topic_that_is_not_there_is_not_made(api: Client, admin: AdminClient, name: str) -> None:
    topic = f"orders-{name}"

    answer = await api.post("/v1/receivers", {"name": name, "source": {"topic": topic}})
    at_once = answer.status_code == 404  # control may refuse before the API has answered
    said = answer.json()["message"] if at_once else (await api.finished(answer))["error"]

    assert said == f'Kafka has no topic "{topic}".'
    assert topic not in describe_topics(admin, [topic])
