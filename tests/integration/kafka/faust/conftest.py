"""Worker processes on the run's broker, and topics for them."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from warm import start as start_warm

from app.settings import Settings

DEADLINE_SECONDS = 60.0
_WORKER = Path(__file__).with_name("worker.py")
Event = dict[str, Any]


class WorkerProcess:
    """A running worker.py. `events` grows as it tells what happens."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.events: list[Event] = []
        self._news = threading.Condition()
        (told_to, self._orders), (self._told, tells), (self._complaints, complains) = os.pipe(), os.pipe(), os.pipe()
        self.process = start_warm(
            f"import runpy; runpy.run_path({str(_WORKER)!r}, run_name='__main__')",
            imports=["app.kafka.faust", "app.kafka.watch"],
            arguments=[json.dumps(told)],
            environment={**os.environ},
            stdin=told_to,
            stdout=tells,
            stderr=complains,
        )
        for fd in (told_to, tells, complains):
            os.close(fd)
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._gather_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        with os.fdopen(self._told) as lines:
            for line in lines:
                with self._news:
                    self.events.append(json.loads(line))
                    self._news.notify_all()

    def _gather_errors(self) -> None:
        with os.fdopen(self._complaints) as lines:
            self._errors += lines

    @property
    def errors(self) -> str:
        return "".join(self._errors)

    def told(self, what: str) -> list[Event]:
        return [event for event in self.events if event["what"] == what]

    def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        """Until the condition holds after some event; fails with what the worker said instead."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        with self._news:
            while not condition():
                if time.monotonic() > deadline or self.process.poll() not in (None, 0):
                    pytest.fail(f"not seen: {what}; last {self.events[-3:]}; stderr {self.errors[-2000:]}")
                self._news.wait(0.2)

    def order(self, command: str, value: Any = None) -> None:
        """Give a command and wait until it is obeyed."""
        before = len(self.told("obeyed"))
        self.say(command, value)
        self.wait_for(lambda: len(self.told("obeyed")) > before, f"{command} obeyed")

    def say(self, command: str, value: Any = None) -> None:
        """Give a command."""
        os.write(self._orders, json.dumps([command, value]).encode() + b"\n")

    def offsets(self, topic: str, partition: int) -> list[int]:
        """Of all chunks of the partition so far, in order."""
        return [
            offset
            for event in self.told("chunk")
            if (event["topic"], event["partition"]) == (topic, partition)
            for offset in event["offsets"]
        ]

    def kill(self) -> None:
        self.process.kill()
        self._finish()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._finish()

    def ended(self) -> int:
        """Wait for its own end; the exit code."""
        return self._finish()

    def _finish(self) -> int:
        code = self.process.wait(DEADLINE_SECONDS)
        for thread in self._threads:
            thread.join(DEADLINE_SECONDS)
        os.close(self._orders)
        return code


class Cluster:
    """What tests do to Kafka from outside."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.bootstrap_servers, self.prefix = bootstrap_servers, prefix
        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def create(self, name: str, partitions: int = 2) -> str:
        topic = f"{self.prefix}.{name}"
        for answer in self.admin.create_topics([NewTopic(topic, partitions, 1)]).values():
            answer.result(DEADLINE_SECONDS)
        return topic

    def produce(self, topic: str, count: int, *, partitions: int = 2, **properties: Any) -> None:
        """`count` records, spread evenly, each with its number as value."""
        producer = Producer({"bootstrap.servers": self.bootstrap_servers, "linger.ms": 5, **properties})
        for number in range(count):
            producer.produce(topic, str(number), partition=number % partitions)
        assert producer.flush(DEADLINE_SECONDS) == 0


@pytest.fixture
def cluster(kafka: str, topic_prefix: str) -> Cluster:
    return Cluster(kafka, topic_prefix)


@pytest.fixture
def start(cluster: Cluster) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a worker: `start(topics, anchor=...)`; `others` are further settings."""
    workers: list[WorkerProcess] = []

    def begin(topics: list[str], *, others: dict[str, Any] | None = None, **told: Any) -> WorkerProcess:
        settings = Settings(
            kafka_bootstrap_servers=cluster.bootstrap_servers,
            topic_prefix=cluster.prefix,
            session_timeout_seconds=6,
            fetch_wait_ms=50,
        ).model_dump(
            include={"kafka_bootstrap_servers", "topic_prefix", "session_timeout_seconds", "fetch_wait_ms"}
        ) | (others or {})
        workers.append(WorkerProcess({"settings": settings, "topics": topics, **told}))
        return workers[-1]

    yield begin
    for worker in workers:
        if worker.process.poll() is None:
            worker.kill()
