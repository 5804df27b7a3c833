import asyncio

import aiokafka.client
import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest, MetadataRequest_v5

from app.kafka.faust.metadata import create_no_topics, update_at_once


class OneBroker(AIOKafkaClient):
    """aiokafka's client with its loop that keeps metadata; it is answered when `answer` is set."""

    def __init__(self) -> None:
        super().__init__(metadata_max_age_ms=1)
        self.asked: asyncio.Queue[set[str]] = asyncio.Queue()
        self.answer = asyncio.Event()

    async def _metadata_update(self, cluster_metadata: ClusterMetadata, topics: set[str]) -> bool:
        self.asked.put_nowait(set(topics))
        await self.answer.wait()
        return True


async def test_topics_that_come_while_metadata_is_asked_for_are_asked_for_at_once() -> None:
    client = OneBroker()
    update_at_once(client)
    regular = asyncio.create_task(client._md_synchronizer())
    try:
        await asyncio.wait_for(client.asked.get(), 30)
        client._metadata_max_age_ms = 3_600_000

        updated = client.set_topics({"new"})
        client.answer.set()

        assert await asyncio.wait_for(updated, 30)
        assert client.asked.get_nowait() == {"new"}
    finally:
        regular.cancel()


class OneConnection:
    """What a client asks its broker; it is answered by an error, after which the client gives up."""

    def __init__(self) -> None:
        self.asked: list[MetadataRequest] = []

    async def send(self, request: MetadataRequest) -> None:
        self.asked.append(request)
        raise KafkaConnectionError("no answer")


async def test_no_topic_is_made_because_it_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiokafka.client, "MetadataRequest", MetadataRequest)  # as it was, afterwards
    create_no_topics()
    client, connection = AIOKafkaClient(), OneConnection()
    client._conns["bootstrap", ConnectionGroup.DEFAULT] = connection

    async def connect(_node: object) -> OneConnection:
        return connection

    monkeypatch.setattr(client, "_get_conn", connect)

    await client._metadata_update(client.cluster, {"gone"})

    request = connection.asked[0].build(MetadataRequest_v5)
    assert (request.topics, request.allow_auto_topic_creation) == (["gone"], False)
