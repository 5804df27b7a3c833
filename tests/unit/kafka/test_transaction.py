"""What a writer does about a transaction that Kafka did not let end."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.kafka import transaction as module
from app.kafka.transaction import Fenced, Record, TransactionalWriter
from app.model.errors import KafkaUnavailable
from app.settings import Settings


class Stamped:
    """A message in its delivery report."""

    def timestamp(self) -> tuple[int, int]:
        return 2, 1000


class OutageInTheMiddle:
    """librdkafka while Kafka is away from the first commit on: the abort is not answered in time, and until it is asked
    for again every begin is refused (librdkafka 2.16).
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.away = True
        self.aborting = False
        self.log: list[str] = []
        self._reports: list[Any] = []

    def begin_transaction(self) -> None:
        if self.aborting:
            raise KafkaException(KafkaError(KafkaError._CONFLICT, retriable=True))

    def produce(self, topic: str, value: bytes, key: str, partition: int, on_delivery: Any) -> None:
        self._reports.append(on_delivery)

    def commit_transaction(self, timeout: float) -> None:
        if self.away:
            raise KafkaException(KafkaError(KafkaError._INCONSISTENT, txn_requires_abort=True))
        for report in self._reports:
            report(None, Stamped())
        self.log.append(f"committed {len(self._reports)}")

    def abort_transaction(self, timeout: float) -> None:
        self.aborting, self._reports = self.away, []
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, retriable=True))
        self.log.append("aborted")


def test_abort_that_was_not_answered_is_ended_before_the_next_write(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = OutageInTheMiddle({})
    monkeypatch.setattr(module, "Producer", lambda config: kafka)
    writer = TransactionalWriter(Settings(), "sink-0")
    records = [Record("ledger", "key", b"value", 0)]
    for _ in range(2):
        with pytest.raises(KafkaUnavailable):
            writer.write(records)

    kafka.away = False
    stamp = writer.write(records)

    assert (stamp, kafka.log) == (1000, ["aborted", "committed 1"])


class ShortQueue(OutageInTheMiddle):
    """librdkafka whose queue takes two records, until it is polled."""

    def __init__(self) -> None:
        super().__init__({})
        self.away, self.queued = False, 0

    def produce(self, topic: str, value: bytes, key: str, partition: int, on_delivery: Any) -> None:
        if self.queued == 2:
            raise BufferError
        self.queued += 1
        super().produce(topic, value, key, partition, on_delivery)

    def poll(self, timeout: float) -> None:
        self.queued = 0


def test_write_that_is_longer_than_the_queue_waits_for_room_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = ShortQueue()
    monkeypatch.setattr(module, "Producer", lambda config: kafka)
    writer = TransactionalWriter(Settings(), "sink-0")

    writer.write([Record("ledger", "key", b"value", 0)] * 5)

    assert kafka.log == ["committed 5"]


class UnclearOnce(OutageInTheMiddle):
    """librdkafka whose first commit is not answered; what a writer says of itself while it asks again."""

    def __init__(self) -> None:
        super().__init__({})
        self.away, self.asked = False, 0
        self.seen: list[bool] = []
        self.writer: TransactionalWriter | None = None

    def commit_transaction(self, timeout: float) -> None:
        assert self.writer is not None
        self.seen.append(self.writer.is_unclear)
        if len(self.seen) == 1:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, retriable=True))
        super().commit_transaction(timeout)


def test_writer_says_that_a_commit_is_unclear_until_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = UnclearOnce()
    monkeypatch.setattr(module, "Producer", lambda config: kafka)
    kafka.writer = writer = TransactionalWriter(Settings(), "sink-0")

    writer.write([Record("ledger", "key", b"value", 0)])

    assert (kafka.seen, writer.is_unclear) == ([False, True], False)


class Fencing:
    """librdkafka that keeps how it was made, and refuses the id."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.waits: list[float] = []

    def init_transactions(self, timeout: float) -> None:
        self.waits.append(timeout)
        raise KafkaException(KafkaError(KafkaError._FENCED))


def test_start_fences_earlier_holders_of_the_id_or_says_that_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delivery protocol, rules 11 and 23; a transaction that is left open holds readers no longer than its time-out."""
    kafka: list[Fencing] = []

    def make(config: dict[str, Any]) -> Fencing:
        kafka.append(Fencing(config))
        return kafka[0]

    monkeypatch.setattr(module, "Producer", make)
    writer = TransactionalWriter(Settings(), "control-3", timeout_seconds=10)

    with pytest.raises(Fenced):
        writer.start()

    assert kafka[0].waits == [30]
    assert (kafka[0].config["transactional.id"], kafka[0].config["transaction.timeout.ms"]) == ("control-3", 10_000)
