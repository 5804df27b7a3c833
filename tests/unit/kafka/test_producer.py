"""What callers are told when the producer meets a fatal error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from threading import Event
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.kafka import producer as module
from app.kafka.producer import AsyncProducer, ProducerBroken
from app.model.errors import KafkaUnavailable
from app.settings import Settings


class Sent:
    """A message in its delivery report."""

    def offset(self) -> int | None:
        return None


class ScriptedProducer:
    """librdkafka's producer as confluent-kafka 2.16 shows it; a fatal error cannot be had from a broker on demand."""

    made: ClassVar[list[ScriptedProducer]] = []

    def __init__(self, config: dict[str, Any]) -> None:
        self.held: list[Callable[..., None]] = []
        self.dead, self.told = Event(), False
        self.made.append(self)

    def produce(self, topic: str, value: bytes, key: object, partition: int, report: Any, headers: object) -> None:
        if self.told:
            raise KafkaException(KafkaError(KafkaError._FATAL))
        self.held.append(report)

    def poll(self, timeout: float) -> None:
        if not self.dead.wait(0.01):
            return
        if not self.told:
            self.told = True
            raise KafkaException(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "too old", fatal=True))
        held, self.held = self.held, []
        for report in held:
            report(KafkaError(KafkaError._PURGE_QUEUE), Sent())

    def flush(self, timeout: float) -> None:
        """All is reported already."""


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> type[ScriptedProducer]:
    monkeypatch.setattr(ScriptedProducer, "made", [])
    monkeypatch.setattr(module, "Producer", ScriptedProducer)
    return ScriptedProducer


async def test_fatal_error_fails_records_under_way_and_later_ones_for_good(scripted: type[ScriptedProducer]) -> None:
    async with AsyncProducer(Settings()) as producer:
        under_way = producer.send("rows", b"1")
        scripted.made[0].dead.set()

        async with asyncio.timeout(60):
            with pytest.raises(ProducerBroken, match="too old"):
                await under_way
        with pytest.raises(ProducerBroken, match="too old"):
            await producer.send("rows", b"2")


async def test_record_that_times_out_may_be_sent_again(scripted: type[ScriptedProducer]) -> None:
    async with AsyncProducer(Settings()) as producer:
        one = scripted.made[0]
        future = producer.send("rows", b"1")
        one.held[0](KafkaError(KafkaError._MSG_TIMED_OUT), Sent())

        with pytest.raises(KafkaUnavailable) as caught:
            await future

    assert not isinstance(caught.value, ProducerBroken)
    assert time.monotonic() - producer.refused_at < 60
