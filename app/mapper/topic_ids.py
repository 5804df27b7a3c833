"""The ids that topics have now, asked from Kafka: one request for all who wait at the moment.

A topic made again under the same name has another id, and its offsets begin anew. Ids never come back, so one asked
before a fetch and the same one asked after it say that it was that topic's data (delivery protocol, identity).
"""

from __future__ import annotations

import asyncio
import logging

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = 10
_AGAIN_SECONDS = 0.2


class TopicIds:
    """Answers `of` while `run` runs."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin
        self._waiting: dict[str, asyncio.Future[str | None]] = {}
        self._asked = asyncio.Event()

    async def of(self, topic: str) -> str | None:
        """The topic's id at some moment after the call; None when there is no such topic. Waits while Kafka is away."""
        waiter = self._waiting.get(topic)
        if waiter is None:
            waiter = self._waiting[topic] = asyncio.get_running_loop().create_future()
            self._asked.set()
        return await asyncio.shield(waiter)

    async def run(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            waiting, self._waiting = self._waiting, {}
            while waiting:
                answers = self._admin.describe_topics(TopicCollection(list(waiting)), request_timeout=_REQUEST_SECONDS)
                for topic, answer in answers.items():
                    try:
                        description = await asyncio.wait_for(asyncio.wrap_future(answer), _REQUEST_SECONDS + 1)
                        waiting.pop(topic).set_result(str(description.topic_id))
                    except (KafkaException, TimeoutError) as error:
                        if (
                            isinstance(error, KafkaException)
                            and error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
                        ):
                            waiting.pop(topic).set_result(None)
                        else:
                            _log.warning("Kafka does not describe topic %s: %s", topic, error)
                if waiting:
                    await asyncio.sleep(_AGAIN_SECONDS)
