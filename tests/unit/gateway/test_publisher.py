"""The producer behind the lane: reports that fail, a producer that dies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.gateway import publisher as module
from app.gateway.publisher import Publisher, publisher_config
from app.settings import Settings

FATAL = KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, "too old", fatal=True)
"""As `poll` raises it, once."""
DEAD = KafkaError(KafkaError._FATAL)
"""As `produce` raises it ever after: without the flag."""
PURGED = KafkaError(KafkaError._PURGE_QUEUE)


class ScriptedProducer:
    """librdkafka's producer without a broker: a fatal error cannot be had from a real one on demand."""

    made: ClassVar[list[ScriptedProducer]] = []

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.held: list[Callable[..., None]] = []
        self.on_poll: Callable[[], None] = lambda: None
        self.refuses: KafkaError | None = None
        self.made.append(self)

    def produce(self, topic: str, value: bytes, headers: object, on_delivery: Callable[..., None]) -> None:
        if self.refuses is not None:
            raise KafkaException(self.refuses)
        self.held.append(on_delivery)

    def poll(self, timeout: float) -> None:
        self.on_poll()

    def purge(self) -> None:
        """Reports come with the next flush."""

    def flush(self, timeout: float) -> None:
        for report in self.held:
            report(PURGED, None)
        self.held = []

    def __len__(self) -> int:
        return len(self.held)


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[ScriptedProducer]:
    monkeypatch.setattr(module, "Producer", ScriptedProducer)
    monkeypatch.setattr(ScriptedProducer, "made", [])
    return ScriptedProducer.made


async def test_report_that_raises_loses_no_other(producers: list[ScriptedProducer]) -> None:
    settled: list[int] = []
    publisher = Publisher({}, lambda: settled.append(1))

    def fail() -> None:
        raise RuntimeError("a report failed")

    producers[0].on_poll = fail
    publisher.poll()
    publisher.poll()

    assert settled == [1, 1]


async def test_fatal_error_fails_what_is_held_and_a_new_producer_goes_on(producers: list[ScriptedProducer]) -> None:
    publisher = Publisher({}, lambda: None)
    reports: list[KafkaError | None] = []
    publisher.send("topic", b"held", [], lambda error, _: reports.append(error))

    def die() -> None:
        raise KafkaException(FATAL)

    producers[0].on_poll = die
    publisher.poll()
    publisher.send("topic", b"next", [], lambda error, _: reports.append(error))
    publisher.poll()

    assert reports == [PURGED]
    assert [len(producer) for producer in producers] == [0, 1]


async def test_producer_that_refuses_for_good_is_replaced(producers: list[ScriptedProducer]) -> None:
    publisher = Publisher({}, lambda: None)
    producers[0].refuses = DEAD

    with pytest.raises(KafkaException):
        publisher.send("topic", b"", [], lambda error, _: None)
    publisher.poll()
    publisher.send("topic", b"", [], lambda error, _: None)

    assert [len(producer) for producer in producers] == [0, 1]


async def test_events_are_durable_and_given_up_with_their_senders() -> None:
    settings = Settings(_env_file=None, acknowledge_seconds=2.5)  # type: ignore[call-arg]  # pydantic-settings' own

    config = publisher_config(settings)

    assert {name: config[name] for name in ("acks", "enable.idempotence", "message.timeout.ms", "linger.ms")} == {
        "acks": "all",
        "enable.idempotence": True,
        "message.timeout.ms": 2500,
        "linger.ms": 1,
    }
