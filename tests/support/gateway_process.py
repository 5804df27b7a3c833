"""A real gateway process on a real broker, receivers made without the control process, events read back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from confluent_kafka import Producer
from warm import Running, start_streams

from app.kafka.client import connect_admin
from app.kafka.codec import ControlValue, control_codec
from app.kafka.names import Names
from app.kafka.plan import create_topics, describe_topics, receiver_topic, system_topics
from app.kafka.reader import read_to_end
from app.kafka.view import control_key
from app.local.ports import free_port
from app.model.cipher import Cipher
from app.model.conditions import Conditions
from app.model.ids import new_secret, new_uid
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision
from app.settings import Settings

DEADLINE_SECONDS = 90
Event = tuple[bytes, Sequence[tuple[str, bytes]]]


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Ask until it is so, or fail when it is not in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@dataclass(frozen=True)
class Target:
    """Where to send a receiver's events, and where they go."""

    receiver_id: str
    uid: str
    path: str
    topic: str


class GatewayProcess:
    """`streams gateway` as a child process; `settings` are what it was given."""

    def __init__(self, kafka: str, prefix: str, log: Path, *, alone: bool = False, **settings: object) -> None:
        """It waits for Kafka for as long as tests do, unless the settings say otherwise.

        `alone`: it starts by itself and has nothing in memory that others import.
        """
        self._alone = alone
        settings = {"acknowledge_seconds": DEADLINE_SECONDS, **settings}
        self.settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own argument
            kafka_bootstrap_servers=kafka,
            topic_prefix=prefix,
            encryption_key=[Cipher.new_key()],
            gateway_port=free_port(),
            **settings,  # type: ignore[arg-type]  # values that its fields take
        )
        given = {
            **settings,
            **self.settings.model_dump(include={"kafka_bootstrap_servers", "topic_prefix", "gateway_port"}),
        }
        environment = {f"STREAMS_{name.upper()}": str(value) for name, value in given.items()}
        self._environment = {**os.environ, **environment, "STREAMS_ENCRYPTION_KEY": self.settings.encryption_key[0]}
        self._log = log
        self._exports: dict[str, set[str]] = {}
        self.process: Running | None = None

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.settings.gateway_port

    def url(self, target: Target) -> str:
        return "http://{}:{}{}".format(*self.address, target.path)

    def spawn(self, *, open_files: int | None = None) -> None:
        """`open_files`: how many it may open."""
        folder = self._log.parent  # where no .env is
        limit = [] if open_files is None else ["prlimit", f"--nofile={open_files}:{open_files}"]
        with self._log.open("ab") as log:
            if self._alone or limit:
                command = [*limit, sys.executable, "-m", "app", "gateway"]
                self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, cwd=folder)
            else:
                self.process = start_streams("gateway", self._environment, log, folder)

    def wait_ready(self) -> None:
        wait_for(lambda: self.status("/ready") == 200, f"a ready gateway: {self.log[-2000:]}")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def status(self, path: str) -> int | None:
        """Of a GET; None when nobody answers."""
        try:
            with self.client() as client:
                return client.get(path).status_code
        except httpx.TransportError:
            return None

    def client(self) -> httpx.Client:
        return httpx.Client(base_url="http://{}:{}".format(*self.address), timeout=DEADLINE_SECONDS)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def metric(self, name: str) -> float:
        """The value of a metric; "x{label="y"}" with its labels."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))

    @property
    def children(self) -> list[int]:
        """Process ids of its children."""
        assert self.process is not None
        found: list[int] = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                found += map(int, (task / "children").read_text().split())
        return found

    def create_topics(self) -> None:
        create_topics(connect_admin(self.settings), system_topics(self.settings))

    def add_receiver(self, receiver_id: str, *, split: bool = True) -> Target:
        """Make a receiver and its topic, as control would."""
        topic = Names(self.settings.topic_prefix).events("1", receiver_id)
        admin = connect_admin(self.settings)
        create_topics(admin, [receiver_topic(self.settings, topic)])
        wait_for(lambda: topic in describe_topics(admin, [topic]), topic)
        topic_id, partitions = describe_topics(admin, [topic])[topic]
        secret = new_secret()
        encrypted = Cipher(self.settings.encryption_key).encrypt(secret)
        receiver = Receiver(
            new_uid(), "1", receiver_id, receiver_id, "", encrypted, topic, topic_id, partitions, 0, split=split
        )
        self.write_control("receiver", f"1/{receiver_id}", receiver)
        return Target(receiver_id, receiver.uid, f"/v1/import/1/{receiver_id}/{secret}", topic)

    def set_exports(self, target: Target, exports: dict[str, dict[str, str]]) -> None:
        """Make these the receiver's only exports: templates by column by export id. As control would."""
        gone = self._exports.get(target.uid, set()) - exports.keys()
        self._exports[target.uid] = set(exports)
        records: list[tuple[str, ControlValue | None]] = [(export_id, None) for export_id in gone]
        for export_id, templates in exports.items():
            columns = [Column(name, ColumnType.TEMPLATE, template=source) for name, source in templates.items()]
            mapping = Mapping("in.c-bucket.table", (Column("id", ColumnType.ID), *columns))
            revision = Revision(1, mapping, "1", b"", 0)
            export = Export(
                *(new_uid(), target.uid, "1", target.receiver_id, export_id, export_id, Conditions(), 0, ()),
                *((revision,), 0),
            )
            records.append((export_id, export))
        self._write([("export", f"1/{target.receiver_id}/{export_id}", value) for export_id, value in records])

    def write_control(self, kind: str, entity: str, value: ControlValue | None) -> None:
        self._write([(kind, entity, value)])

    def _write(self, records: Sequence[tuple[str, str, ControlValue | None]]) -> None:
        topic = Names(self.settings.topic_prefix).control
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "linger.ms": 0})
        for kind, entity, value in records:
            data = None if value is None else control_codec.encode(value)
            producer.produce(topic, data, control_key(kind, entity), partition=0)
        assert producer.flush(DEADLINE_SECONDS) == 0

    def events(self, target: Target) -> list[Event]:
        """All that the receiver's topic has, partition by partition."""
        found: list[Event] = []
        for partition in range(self.settings.receiver_partitions):
            for message in read_to_end(self.settings, target.topic, partition):
                found.append((message.value() or b"", message.headers() or []))  # type: ignore[arg-type]
        return found

    def bodies(self, target: Target) -> list[bytes]:
        """In no order."""
        return sorted(value for value, _ in self.events(target))


@contextmanager
def running(gateway: GatewayProcess) -> Iterator[GatewayProcess]:
    """Started with its topics, ready, stopped at the end."""
    gateway.create_topics()
    gateway.spawn()
    try:
        gateway.wait_ready()
        yield gateway
    finally:
        process = gateway.process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
