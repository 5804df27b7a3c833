"""Receivers of topics that are there already: where they begin, and that the topic stays as it was."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from buffer_stack import Client, export_body, make_settings
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from shop import Shop

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


@pytest.fixture
def shop(settings: Settings) -> Shop:
    return Shop(settings.kafka_bootstrap_servers, f"orders-{uuid.uuid4().hex[:10]}")


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
    again = await api.create("/v1/receivers", {"name": f"{name}-2", "source": {"topic": orders}})

    assert (shown["source"], "url" in shown) == ({"topic": orders}, False)
    assert (second.status_code, second.json()["error"]) == (409, "buffer.topicInUse")
    assert (refused.status_code, deleted.status_code, again["status"]) == (400, 200, "success")
    assert state() == before


async def test_topic_that_is_not_there_is_not_made(api: Client, admin: AdminClient, name: str) -> None:
    topic = f"orders-{name}"

    answer = await api.post("/v1/receivers", {"name": name, "source": {"topic": topic}})
    at_once = answer.status_code == 404  # control may refuse before the API has answered
    said = answer.json()["message"] if at_once else (await api.finished(answer))["error"]

    assert said == f'Kafka has no topic "{topic}".'
    assert topic not in describe_topics(admin, [topic])


@pytest.fixture
async def pattern(api: Client, shop: Shop, name: str) -> str:
    """What the receiver with this id reads: two topics, with two records and one."""
    shop.make("a", 1)
    shop.make("b", 2)
    shop.send("a", 2, 0)
    shop.send("b", 1, 1)
    source = {"topics": shop.name("*"), "from": "earliest"}
    await api.create("/v1/receivers", {"name": name, "source": source, "exports": [export_body("e", f"in.c-{name}.t")]})
    return shop.name("*")


def until_now() -> dict[str, str]:
    return {"from": "2020-01-01", "to": datetime.now(UTC).isoformat()}


async def test_replays_of_a_pattern_are_of_all_its_topics(
    api: Client, admin: AdminClient, shop: Shop, pattern: str, name: str
) -> None:
    path = f"/v1/receivers/{name}/exports/e"
    names = [shop.name(topic) for topic in "ab"]
    ids = [describe_topics(admin, [topic])[topic][0] for topic in names]

    await api.create(f"{path}/replay", until_now())
    await api.create(f"{path}/pause", None)
    shop.send("b", 3, 1)
    await api.create(f"{path}/resume", None)

    await api.view.caught_up()
    (export,) = api.view.catalog.exports_of(api.view.catalog.receivers[f"1234/{name}"])
    replays = api.view.catalog.replays_of(export.uid)
    assert [(replay.topic, replay.receiver_topic) for replay in replays] == [(pattern, names[0])] * 2
    ranges = [[(p.topic, p.topic_id, p.partition, p.first, p.end) for p in r.ranges if p.count] for r in replays]
    assert ranges == [[(names[0], ids[0], 0, 0, 2), (names[1], ids[1], 1, 0, 1)], [(names[1], ids[1], 1, 1, 4)]]


async def test_newest_events_of_a_pattern_are_those_of_all_its_topics(
    api: Client, shop: Shop, pattern: str, name: str
) -> None:
    path = f"/v1/receivers/{name}/exports/e"

    tried = (await api.post(f"{path}/test?last=10", None)).json()
    shown = (await api.post(f"{path}/replay?dryRun=true", until_now())).json()

    places = {(event["source"]["topic"], event["source"]["offset"]) for event in tried["events"]}
    assert places == {(shop.name("a"), 0), (shop.name("a"), 1), (shop.name("b"), 0)}
    assert (shown["tried"], shown["isWhole"]) == (3, True)
