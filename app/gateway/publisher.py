"""The producer of events: durable records (acks=all, idempotent), delivery reports taken on the event loop.

The loop polls librdkafka itself, every millisecond while records wait, instead of a thread that does and that would
compete with the loop for the interpreter's lock. librdkafka's own threads do the sending either way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.kafka.client import producer_config
from app.settings import Settings

POLL_SECONDS = 0.001
QUEUED_EVENTS = 1_000_000
"""Events that librdkafka queues at most; their bytes are bounded by the lane."""
_QUEUE_BYTES_FACTOR = 2
_LINGER_MS = 1
_STICKY_MS = 2
"""How long events without a key go to the same partition: two batches, so that a partition seldom has the five batches
under way that an idempotent producer may have.
"""
_FLUSH_STEP_SECONDS = 0.05
_log = logging.getLogger(__name__)
RecordHeaders = list[tuple[str, str | bytes | None]]
Report = Callable[[KafkaError | None, Message], None]


def publisher_config(settings: Settings) -> dict[str, Any]:
    """librdkafka gives up on an event when its sender is answered 503."""
    return producer_config(
        settings,
        linger_ms=_LINGER_MS,
        sticky_partitioning_linger_ms=_STICKY_MS,
        message_timeout_ms=max(1, int(settings.acknowledge_seconds * 1000)),
        queue_buffering_max_messages=QUEUED_EVENTS,
        queue_buffering_max_kbytes=_QUEUE_BYTES_FACTOR * settings.max_inflight_bytes // 1024,
    )


class Publisher:
    """Made and used on one running event loop. `settle` is called after each round of delivery reports."""

    def __init__(self, config: dict[str, Any], settle: Callable[[], None]) -> None:
        self._config = config
        self._settle = settle
        self._loop = asyncio.get_running_loop()
        self._polling = False
        self._dead = False
        self._producer = Producer(self._config)

    def send(self, topic: str, value: bytes, headers: RecordHeaders, report: Report) -> None:
        """Queue one event; `report` is called with None once it is durable, else with the error.

        Raises BufferError when the queue is full, KafkaException when the event cannot be sent at all; then there is
        no report.
        """
        if not self._polling:
            self._polling = True
            self._loop.call_later(POLL_SECONDS, self._poll)
        try:
            self._producer.produce(topic, value, headers=headers, on_delivery=report)
        except KafkaException as error:
            self._dead = self._dead or error.args[0].code() == KafkaError._FATAL
            raise

    def poll(self) -> None:
        """Take the reports and errors that are there. An error in one report loses no other."""
        try:
            self._producer.poll(0)
        except KafkaException as error:  # confluent-kafka 2.16 raises a fatal error here, once
            _log.error("kafka: %s", error.args[0].str())
            self._dead = self._dead or error.args[0].fatal()
        except Exception:
            _log.exception("a delivery report failed")
        self._settle()
        if self._dead:
            self._replace()

    async def close(self, timeout_seconds: float) -> None:
        """Wait for what is under way, at most this long."""
        deadline = self._loop.time() + timeout_seconds
        while len(self._producer) and self._loop.time() < deadline:
            self.poll()
            await asyncio.sleep(_FLUSH_STEP_SECONDS)

    def _poll(self) -> None:
        self.poll()
        if len(self._producer):
            self._loop.call_later(POLL_SECONDS, self._poll)
        else:
            self._polling = False

    def _replace(self) -> None:
        """A producer that met a fatal error takes nothing any more: fail what it holds, go on with a new one."""
        _log.error("the producer of events met a fatal error; a new one takes over")
        old, self._producer = self._producer, Producer(self._config)
        self._dead = False
        old.purge()
        with suppress(KafkaException):  # the fatal error once more; the reports have come all the same
            old.flush(1)
        self._settle()
