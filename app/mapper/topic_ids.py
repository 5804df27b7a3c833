"""The ids that topics have now, asked from Kafka: one request for all who wait at the moment.

A topic made again under the same name has another id, and its offsets begin anew. Ids never come back, so one asked
before a fetch and the same one asked after it say that it was that topic's data (delivery protocol, identity).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from app.kafka.gone import is_surely_gone

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = 10
_AGAIN_SECONDS = 0.2


class TopicIds:
    """Answers `of` while `run` runs."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin
        self._waiting: dict[str, list[asyncio.Future[str | None]]] = defaultdict(list)
        self._asked = asyncio.Event()
        self._gone: set[tuple[str, str]] = set()
        """Found out once, since ids never come back."""

    async def of(self, topic: str) -> str | None:
        """The topic's id at some moment after the call; None when there is no such topic. Waits while Kafka is away."""
        waiter: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[topic].append(waiter)
        self._asked.set()
        return await waiter

    async def is_gone(self, topic: str, topic_id: str) -> bool:
        """Whether the topic with this id is gone for good (see `app.kafka.gone`). Raises KafkaUnavailable."""
        if (topic, topic_id) not in self._gone and await is_surely_gone(
            self._admin, topic, topic_id, lambda: self.of(topic)
        ):
            self._gone.add((topic, topic_id))
        return (topic, topic_id) in self._gone

    async def run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, defaultdict(list)
            questions = self._admin.describe_topics(TopicCollection(list(waiting)), request_timeout=_REQUEST_SECONDS)
            for topic, answer in questions.items():
                try:
                    topic_id = await _topic_id(answer)
                except (KafkaException, TimeoutError) as error:
                    _log.warning("Kafka does not describe topic %s: %s", topic, error)
                    self._waiting[topic] += waiting[topic]
                    asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._asked.set)
                    continue
                for waiter in waiting[topic]:
                    if not waiter.done():
                        waiter.set_result(topic_id)


async def _topic_id(answer: Future[Any]) -> str | None:
    try:
        return str((await asyncio.wait_for(asyncio.wrap_future(answer), _REQUEST_SECONDS + 1)).topic_id)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return None
        raise
