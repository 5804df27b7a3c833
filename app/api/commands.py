"""The way of a command to control: which partition, which bytes, which encryption.

All commands of a project go to one partition, that of its id as a key, so that one process at a time works for a
project and does its commands in order.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType

from app.kafka.client import connect_admin, partition_of_key
from app.kafka.codec import command_codec
from app.kafka.names import Names
from app.kafka.plan import describe_topics
from app.kafka.producer import AsyncProducer, ProducerBroken
from app.model.cipher import Cipher
from app.model.task import Command, Task
from app.settings import Settings

_log = logging.getLogger(__name__)


class CommandSender:
    """An async context manager; entering waits until the commands topic is there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Names(settings.topic_prefix).commands
        self._cipher = Cipher(settings.encryption_key)

    async def __aenter__(self) -> CommandSender:
        admin = await asyncio.to_thread(connect_admin, self._settings)
        while True:
            found = await asyncio.to_thread(describe_topics, admin, [self._topic])
            if self._topic in found:
                break
            _log.warning("waiting for topic %s: `streams control` or `streams topics apply` creates it", self._topic)
            await asyncio.sleep(1)
        self._partitions = found[self._topic][1]
        self._producer = self._make_producer()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.close()

    async def send(self, task: Task, payload: str, token: str = "") -> None:
        """Durable when it returns. `token` is the caller's; none when a process of ours asks.

        Raises KafkaUnavailable when Kafka does not take it in time; it may still land.

        A producer that broke for good is replaced, so that the next command is taken again.
        """
        command = Command(task, payload, self._cipher.encrypt(token))
        producer = self._producer
        try:
            await producer.send(
                self._topic,
                command_codec.encode(command),
                task.project_id,
                partition=partition_of_key(task.project_id, self._partitions),
            )
        except ProducerBroken:
            if self._producer is producer:
                self._producer = self._make_producer()
                await producer.close()
            raise

    def _make_producer(self) -> AsyncProducer:
        return AsyncProducer(self._settings, timeout_seconds=self._settings.acknowledge_seconds)
