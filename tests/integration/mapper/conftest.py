"""An installation on the run's broker with mapper processes, configured by records in the control log."""

from __future__ import annotations

import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from consumer_group import expel_members
from schema_registry import SchemaRegistry, running_registry
from warm import start as start_warm

from app.kafka.client import connect_admin
from app.kafka.codec import ControlValue, control_codec, rows_codec
from app.kafka.names import Names
from app.kafka.plan import create_topics, describe_topics, receiver_topic, system_topics
from app.kafka.reader import read_to_end
from app.kafka.view import control_key
from app.local.ports import free_port
from app.model.conditions import Conditions
from app.model.ids import new_uid
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision, SourceOffset, entity_key
from app.model.replay import Replay, replay_key
from app.model.rows import FailedEvent, Rows, Source
from app.settings import Settings

DEADLINE_SECONDS = 90.0
_MAIN = "from app.settings import load_settings; from app.mapper.process import run; run(load_settings(None))"
PROJECT = "1"
BODY_ONLY = (Column("body", ColumnType.BODY),)


@dataclass
class Folded:
    """What a sink would make of an export's envelopes: each source offset once, by the marks."""

    rows: dict[Source, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    failures: dict[Source, dict[int, FailedEvent]] = field(default_factory=lambda: defaultdict(dict))
    marks: dict[Source, int] = field(default_factory=dict)
    skipped: dict[Source, int] = field(default_factory=lambda: defaultdict(int))
    revisions: dict[Source, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, rows: Rows) -> None:
        mark = self.marks.setdefault(rows.source, rows.base)
        assert rows.base <= mark, f"a hole before {rows.base}, taken up to {mark}"
        offsets = list(rows.row_offsets())
        lines = rows.csv.decode().splitlines()
        assert len(offsets) == len(lines) == rows.count
        for offset, line in zip(offsets, lines, strict=True):
            if offset >= mark:
                self.rows[rows.source][offset] = line
                self.revisions[rows.source][offset] = rows.revision
        for failed in rows.failures:
            if failed.offset >= mark:
                self.failures[rows.source][failed.offset] = failed
        self.marks[rows.source] = max(mark, rows.end)

    @property
    def count(self) -> int:
        return sum(map(len, self.rows.values())) + sum(map(len, self.failures.values()))


class MapperProcess:
    def __init__(self, settings: Settings, **others: Any) -> None:
        self.port = free_port()
        told = settings.model_dump(include={"kafka_bootstrap_servers", "topic_prefix"}) | {
            "mapper_port": self.port,
            "mapping_children": 1,
            "session_timeout_seconds": 6,
            "chunk_events": 200,
            "log_level": "warning",
            **others,
        }
        variables = {f"STREAMS_{name.upper()}": str(value) for name, value in told.items()}
        self.process = start_warm(
            _MAIN,
            imports=["app.mapper.process"],
            environment={**os.environ, **variables},
            stdout=1,
            stderr=2,
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.terminate()
        return self.process.wait(DEADLINE_SECONDS)


class Installation:
    def __init__(self, kafka: str, prefix: str) -> None:
        self.settings = Settings(kafka_bootstrap_servers=kafka, topic_prefix=prefix, rows_partitions=2)
        self.names = Names(prefix)
        self.admin = connect_admin(self.settings)
        self.producer = Producer({"bootstrap.servers": kafka, "linger.ms": 2, "enable.idempotence": True})
        create_topics(self.admin, system_topics(self.settings))
        self._folded: dict[str, tuple[Folded, int]] = {}

    # Configuration

    def announce(self, *values: ControlValue) -> None:
        """Write these to the control log, durably."""
        for value in values:
            if isinstance(value, Receiver):
                key = control_key("receiver", entity_key(value.project_id, value.receiver_id))
            elif isinstance(value, Replay):
                key = control_key("replay", replay_key(value.export_uid, value.lane))
            else:
                assert isinstance(value, Export)
                key = control_key("export", entity_key(value.project_id, value.receiver_id, value.export_id))
            self.producer.produce(self.names.control, control_codec.encode(value), key)
        assert self.producer.flush(DEADLINE_SECONDS) == 0

    def create_topic(self, receiver_id: str, partitions: int = 2) -> str:
        """The receiver's topic; its id."""
        topic = self.names.events(PROJECT, receiver_id)
        settings = self.settings.model_copy(update={"receiver_partitions": partitions})
        create_topics(self.admin, [receiver_topic(settings, topic)])
        wait_until(lambda: topic in describe_topics(self.admin, [topic]), f"topic {topic}")
        return describe_topics(self.admin, [topic])[topic][0]

    def delete_topic(self, receiver_id: str) -> None:
        topic = self.names.events(PROJECT, receiver_id)
        for answer in self.admin.delete_topics([topic]).values():
            answer.result(DEADLINE_SECONDS)
        wait_until(lambda: topic not in describe_topics(self.admin, [topic]), f"{topic} gone")

    def receiver(self, receiver_id: str, topic_id: str) -> Receiver:
        topic = self.names.events(PROJECT, receiver_id)
        return Receiver(new_uid(), PROJECT, receiver_id, receiver_id, "", b"", topic, topic_id, 2, 0)

    def export(
        self,
        receiver: Receiver,
        export_id: str,
        columns: tuple[Column, ...] = BODY_ONLY,
        starts: tuple[SourceOffset, ...] = (),
    ) -> Export:
        revision = Revision(1, Mapping("in.c-b.t", columns), "1", b"", 0)
        return Export(
            new_uid(),
            receiver.uid,
            PROJECT,
            receiver.receiver_id,
            export_id,
            export_id,
            Conditions(),
            len(export_id) % 2,
            starts,
            (revision,),
            0,
        )

    # Events and rows

    def produce(self, receiver: Receiver, bodies: list[bytes | None], partitions: int = 2, **properties: Any) -> None:
        """Events spread evenly over the partitions, durable on return."""
        for number, body in enumerate(bodies):
            self.producer.produce(receiver.topic, body, partition=number % partitions, **properties)
        assert self.producer.flush(DEADLINE_SECONDS) == 0

    def folded(self, export: Export) -> Folded:
        """All envelopes of the export so far."""
        folded, offset = self._folded.setdefault(export.uid, (Folded(), 0))
        for message in read_to_end(self.settings, self.names.rows, export.rows_partition, offset):
            offset = (message.offset() or 0) + 1
            rows = rows_codec.decode(message.value() or b"")
            if rows.export_uid == export.uid:
                assert message.key() == export.uid.encode()
                folded.take(rows)
        self._folded[export.uid] = folded, offset
        return folded

    def wait_for_count(self, export: Export, count: int) -> Folded:
        """Until the export has so many rows and failures."""
        wait_until(lambda: self.folded(export).count >= count, f"{count} entries")
        return self.folded(export)

    def wait_for_sources(self, export: Export, *sources: Source) -> Folded:
        """Until the export has envelopes of each of these."""
        wait_until(lambda: set(sources) <= self.folded(export).marks.keys(), f"envelopes of {sources}")
        return self.folded(export)

    def committed(self, receiver: Receiver) -> list[int]:
        """Committed offsets of the receiver's two partitions."""
        consumer = Consumer(
            {"bootstrap.servers": self.settings.kafka_bootstrap_servers, "group.id": self.names.group("mapper")}
        )
        places = consumer.committed([TopicPartition(receiver.topic, p) for p in range(2)], timeout=DEADLINE_SECONDS)
        consumer.close()
        return [place.offset for place in places]


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not in time: {what}")
        time.sleep(0.02)


@pytest.fixture
def installation(kafka: str, topic_prefix: str) -> Installation:
    return Installation(kafka, topic_prefix)


@pytest.fixture(scope="module")
def registry() -> Iterator[SchemaRegistry]:
    """One that demands the password "secret" of "mapper"."""
    with running_registry("mapper:secret") as registry:
        yield registry


@pytest.fixture(scope="module")
def direct(kafka: str, registry: SchemaRegistry) -> Iterator[Installation]:
    """An installation for the tests of a module, whose mapper reads schemas from `registry`."""
    installation = Installation(kafka, f"test-{uuid.uuid4().hex[:12]}")
    mapper = MapperProcess(
        installation.settings,
        schema_registry_url=registry.url,
        schema_registry_basic_auth_user_info="mapper:secret",
        schema_registry_seconds=1,
    )
    yield installation
    mapper.kill()


@pytest.fixture
def start(installation: Installation) -> Iterator[Callable[[], MapperProcess]]:
    """Start a mapper process. It need not wait for the sessions of killed ones."""
    started: list[MapperProcess] = []

    def begin() -> MapperProcess:
        if started and all(mapper.process.poll() is not None for mapper in started):
            expel_members(installation.settings, installation.names.group("mapper"))
        started.append(MapperProcess(installation.settings))
        return started[-1]

    yield begin
    for mapper in started:
        if mapper.process.poll() is None:
            mapper.kill()
