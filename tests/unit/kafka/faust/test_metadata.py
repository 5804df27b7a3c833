import asyncio

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata

from app.kafka.faust.metadata import update_at_once


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
