"""A producer for asyncio: durable records, delivery reports in one wake-up of the event loop per batch.

A report that arrives says the record is on all in-sync replicas (acks=all, idempotent). What to do about a failed one
is left to the caller; an unanswered one fails after `timeout_seconds`, and may still have been stored (delivery
protocol, rule 25). After a fatal error nothing is taken any more: the caller has to end, or make another producer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.kafka.client import producer_config
from app.model.errors import KafkaUnavailable
from app.settings import Settings

_log = logging.getLogger(__name__)
Headers = Sequence[tuple[str, str | bytes | None]]


class ProducerBroken(KafkaUnavailable):
    """The producer met a fatal error (it may not write, or lost its sequence): sending again does not help."""


class AsyncProducer:
    """Made and used on one running event loop; `close` flushes. Also an async context manager."""

    def __init__(self, settings: Settings, *, linger_ms: float = 1, timeout_seconds: float = 30) -> None:
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(
            producer_config(settings, linger_ms=linger_ms, message_timeout_ms=int(timeout_seconds * 1000))
        )
        self._lock = threading.Lock()
        self._reports: list[tuple[asyncio.Future[int], KafkaError | None, int]] = []
        self._closing = False
        self._fatal: str | None = None
        self.refused_at = float("-inf")
        """Monotonic time at which Kafka last did not take a record."""
        self._thread = threading.Thread(target=self._poll, name="producer-poll", daemon=True)
        self._thread.start()

    async def __aenter__(self) -> AsyncProducer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | str | None = None,
        *,
        partition: int = -1,
        headers: Headers = (),
    ) -> asyncio.Future[int]:
        """Hand one record over; the future gives its offset, KafkaUnavailable when Kafka does not take it in time, or
        ProducerBroken when this producer never will.
        """
        future: asyncio.Future[int] = self._loop.create_future()

        def report(error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            self._report(future, error, -1 if offset is None else offset)

        try:
            self._producer.produce(topic, value, key, partition, report, headers=list(headers))
        except BufferError:
            future.set_exception(KafkaUnavailable("The queue of records that wait for Kafka is full; try again later."))
        except KafkaException as error:
            future.set_exception(self._refusal(f"Kafka does not take a record for {topic}", error.args[0]))
        return future

    async def close(self, timeout_seconds: float = 10) -> None:
        """Wait for what is under way, at most this long, then stop."""
        with suppress(KafkaException):  # a fatal error, which every caller was told
            await asyncio.to_thread(self._producer.flush, timeout_seconds)
        self._closing = True
        await asyncio.to_thread(self._thread.join, 5)

    def _poll(self) -> None:
        while not self._closing:
            try:
                self._producer.poll(0.1)
            except KafkaException as exception:  # confluent-kafka raises a fatal error here, once; reports go on
                self._fatal = exception.args[0].str()
                _log.critical("the producer met a fatal error: %s", self._fatal)

    def _report(self, future: asyncio.Future[int], error: KafkaError | None, offset: int) -> None:
        with self._lock:
            self._reports.append((future, error, offset))
            first = len(self._reports) == 1
        if first and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        with self._lock:
            reports, self._reports = self._reports, []
        for future, error, offset in reports:
            if future.done():
                continue
            if error is None:
                future.set_result(offset)
            else:
                future.set_exception(self._refusal("Kafka did not acknowledge a record", error))

    def _refusal(self, what: str, error: KafkaError) -> KafkaUnavailable:
        """After the fatal error itself, librdkafka reports records as purged, and refuses new ones without the flag."""
        self.refused_at = time.monotonic()
        if self._fatal is not None or error.fatal() or error.code() == KafkaError._FATAL:
            return ProducerBroken(f"{what}, and this producer never will: {self._fatal or error.str()}")
        return KafkaUnavailable(f"{what}: {error.str()}")
