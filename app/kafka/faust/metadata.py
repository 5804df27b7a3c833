"""What aiokafka asks brokers about topics: at once when topics are new to it, and never so that one is made by it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiokafka.client
from aiokafka.protocol.metadata import MetadataRequest


def update_at_once(client: Any) -> None:
    """Let `AIOKafkaClient.force_metadata_update`, and what calls it, never wait for a regular request.

    aiokafka 0.14.0 asks every `metadata_max_age_ms`, and at once when told of new topics; but told while such a regular
    request is under way, it waits for the next one. The leader of a group can assign nothing until then, so that all
    members would stand still for up to `metadata_max_age_ms`: 7 s were seen with 200 receivers.
    """
    force = client.force_metadata_update

    def force_and_wake() -> asyncio.Future[bool]:
        updated: asyncio.Future[bool] = force()
        if not client._md_update_waiter.done():
            client._md_update_waiter.set_result(None)
        return updated

    client.force_metadata_update = force_and_wake


def create_no_topics() -> None:
    """Let no client of aiokafka in this process have topics made that it asks about.

    aiokafka 0.14.0 allows it and has no setting. Where brokers make topics by themselves (Kafka's default), a topic
    that its owner deletes while it is read would be there again at once, with the broker's settings.
    """
    aiokafka.client.MetadataRequest = partial(MetadataRequest, allow_auto_topic_creation=False)
