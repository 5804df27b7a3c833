"""What is made of Kafka's answers when the oldest records are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from app.kafka import peek
from app.kafka.faust import Partition
from app.kafka.lag import Oldest
from app.kafka.peek import first_records
from app.settings import Settings


def message(topic: str | None, partition: int | None, *, offset: int = 5, error: int | None = None) -> Any:
    return SimpleNamespace(
        error=lambda: None if error is None else KafkaError(error),
        topic=lambda: topic,
        partition=lambda: partition,
        offset=lambda: offset,
        timestamp=lambda: (1, 1000),
    )


def looked_at(monkeypatch: pytest.MonkeyPatch, messages: Sequence[Any], *partitions: tuple[str, int]) -> Any:
    """What comes of these partitions when Kafka says this."""
    said = iter([*messages, None])

    class Consumer:
        def __init__(self, _config: object) -> None: ...
        def assign(self, _places: object) -> None: ...
        def pause(self, _places: object) -> None: ...
        def close(self) -> None: ...
        def poll(self, _seconds: float) -> Any:
            return next(said)

    monkeypatch.setattr(peek, "Consumer", Consumer)
    return first_records(Settings(_env_file=None), [(*one, 5) for one in partitions])  # type: ignore[call-arg]


def test_partition_that_may_not_be_read_keeps_no_other_from_being_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = message("a", 0, error=KafkaError.TOPIC_AUTHORIZATION_FAILED)

    found, refused = looked_at(monkeypatch, [refusal, message("b", 0)], ("a", 0), ("b", 0))

    assert found == {("b", 0, 5): Oldest(5, 1000)}
    assert list(refused) == [Partition("a", 0)]


def test_error_of_a_topic_is_about_all_its_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = message("a", -1, error=KafkaError.TOPIC_AUTHORIZATION_FAILED)

    found, refused = looked_at(monkeypatch, [refusal, message("b", 1)], ("a", 0), ("a", 1), ("b", 1))

    assert list(refused) == [Partition("a", 0), Partition("a", 1)]
    assert list(found) == [("b", 1, 5)]


def test_passing_trouble_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    trouble = message(None, None, error=KafkaError._ALL_BROKERS_DOWN)

    found, refused = looked_at(monkeypatch, [trouble, message("a", 0, error=KafkaError._PARTITION_EOF)], ("a", 0))

    assert (found, refused) == ({("a", 0, 5): None}, {})
