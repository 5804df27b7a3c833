"""Fenced writes: one transaction at a time under a transactional id that at most one process holds.

Blocking; callers run it in a thread of their own. After another process has taken the id every write raises `Fenced`
(delivery protocol, rule 11, says what that means and what it does not).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.kafka.client import PARTITIONER, producer_config
from app.model.errors import KafkaUnavailable, StreamsError
from app.settings import Settings

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.05
_FENCED = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
}


class Fenced(StreamsError):
    """Another process holds this transactional id now; nothing of this write is visible."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a transaction; value None is a tombstone."""

    topic: str
    key: bytes | str
    value: bytes | None
    partition: int = -1


class TransactionalWriter:
    """One producer with one transactional id. `start` fences all earlier holders; then `write` as often as needed."""

    def __init__(self, settings: Settings, transactional_id: str, *, timeout_seconds: float = 10) -> None:
        self.transactional_id = transactional_id
        self._timeout = timeout_seconds
        self.is_unclear = False
        """Whether a commit was not answered and is asked for again. From any thread."""
        self._aborting = False
        self._given_up = threading.Event()
        self._producer = Producer(
            producer_config(
                settings,
                transactional_id=transactional_id,
                transaction_timeout_ms=int(timeout_seconds * 1000),
                linger_ms=0,
                partitioner=PARTITIONER,
            )
        )

    def start(self) -> None:
        """Take the id (0.5 s), so that earlier holders write no more (rules 11 and 23).

        Raises Fenced when another process took it meanwhile, KafkaUnavailable when Kafka is away.
        """
        self._run("init", lambda: self._producer.init_transactions(self._timeout * 3))

    def write(self, records: Sequence[Record]) -> int:
        """Write all or nothing, durable when it returns; the broker's time (ms) of the last record.

        Raises Fenced, or KafkaUnavailable when it is known that nothing became visible; the same records may then be
        written again. While the outcome of a commit is unclear it is asked for again, since a commit may be repeated.
        """
        stamps = [0]

        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                stamps[0] = message.timestamp()[1]

        if self._aborting:
            self._abort()
        self._run("begin", self._producer.begin_transaction)
        try:
            for record in records:
                self._produce(record, report)
            self._commit()
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() in _FENCED or error.fatal():
                raise Fenced(f"{self.transactional_id} was taken by another process: {error.str()}") from exception
            self._abort()
            raise KafkaUnavailable(f"A transaction of {self.transactional_id} failed: {error.str()}") from exception
        except BufferError as exception:
            self._abort()
            raise KafkaUnavailable(
                f"A transaction of {self.transactional_id} is too large for the queue."
            ) from exception
        return stamps[0]

    def give_up(self) -> None:
        """From any thread: ask no more for an unclear commit. Whoever starts next sees it committed or not."""
        self._given_up.set()

    def close(self) -> None:
        """Let go of the connection; an open transaction is aborted by the broker after its timeout or the next
        `start`.
        """
        self._producer.flush(1)

    def _produce(self, record: Record, report: Callable[[KafkaError | None, Message], None]) -> None:
        """Queue one record; where the queue is full, once some are sent. Raises BufferError when none are in time."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return self._producer.produce(
                    record.topic, record.value, record.key, record.partition, on_delivery=report
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise
            self._producer.poll(_POLL_SECONDS)

    def _commit(self) -> None:
        try:
            while True:
                try:
                    return self._producer.commit_transaction(self._timeout)
                except KafkaException as exception:
                    error = exception.args[0]
                    if self._given_up.is_set() or not error.retriable():
                        raise
                    self.is_unclear = True
                    _log.warning("%s: commit unclear, asking again: %s", self.transactional_id, error.str())
        finally:
            self.is_unclear = False

    def _abort(self) -> None:
        """One that was not answered in time must be asked for again, before librdkafka begins another transaction."""
        self._aborting = True
        self._run("abort", lambda: self._producer.abort_transaction(self._timeout))
        self._aborting = False

    def _run(self, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except KafkaException as exception:
            error = exception.args[0]
            if error.code() in _FENCED or error.fatal():
                raise Fenced(f"{self.transactional_id} was taken by another process: {error.str()}") from exception
            raise KafkaUnavailable(f"{what} of {self.transactional_id} failed: {error.str()}") from exception
