"""How long a new receiver, and a new export, stops the mapping of the others; with 1, 50 and 200 receivers.

    python benchmarks/new_receiver.py [--receivers 1 50 200] [--mappers 1 3] [--changes 20]

Real mapper processes, default settings, topics of 4 partitions; every 5 ms an event comes to one of the others, in
turn. A delay is the broker's time of the rows less that of the event. For each change the worst delay of what came to
the others from a second before it to 4 s after it is taken; the floor is the same over as many stretches of time in
which nothing changes. `first row` is from the new entity's record in the control log to the first row of an event that
came right behind it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from pathlib import Path

from _installation import NAMES, check_alive, configure, has_joined, make_settings, running
from confluent_kafka import Producer

from app.kafka.client import connect_admin
from app.kafka.codec import rows_codec
from app.kafka.plan import create_topics, describe_topics, receiver_topic, system_topics
from app.kafka.reader import read_to_end
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.model.conditions import Conditions
from app.model.ids import new_uid
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision
from app.settings import Settings

PARTITIONS = 4
BETWEEN_EVENTS_SECONDS = 0.005
BEFORE_SECONDS, AFTER_SECONDS = 1.0, 4.0
BODY = b'{"carrier":"UA","route":{"origin":"EWR","dest":"IAH"},"delay":11}'
COLUMNS = (
    Column("datetime", ColumnType.DATETIME),
    Column("flight", ColumnType.TEMPLATE, template='Body("carrier") + "-" + Body("route.origin")'),
)
Change = Callable[[int], tuple[str, str]]
"""Makes something new; the uid of its export, and the topic of its receiver."""


@dataclass(frozen=True)
class Delivered:
    """One row: of which export, when its event and when it itself was written, in seconds of the broker's clock."""

    export_uid: str
    event_time: float
    row_time: float


class Installation:
    """Receivers r0, r1, ... with an export each, in the control log and in Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = connect_admin(settings)
        self._receivers: list[Receiver] = []
        self._exports = 0

    @property
    def topics(self) -> list[str]:
        return [receiver.topic for receiver in self._receivers]

    def add_receivers(self, count: int) -> list[Export]:
        first = len(self._receivers)
        topics = [NAMES.events("1", f"r{number}") for number in range(first, first + count)]
        create_topics(self._admin, [receiver_topic(self._settings, topic) for topic in topics])
        while len(found := describe_topics(self._admin, topics)) < count:
            time.sleep(0.01)
        for number, topic in enumerate(topics, first):
            name = f"r{number}"
            receiver = Receiver(new_uid(), "1", name, name, "", b"", topic, found[topic][0], PARTITIONS, 0)
            self._receivers.append(receiver)
        exports = [self._export_of(receiver) for receiver in self._receivers[first:]]
        configure(self._settings, *self._receivers[first:], *exports)
        return exports

    def new_receiver(self, _number: int) -> tuple[str, str]:
        return self.add_receivers(1)[0].uid, self.topics[-1]

    def new_export(self, number: int) -> tuple[str, str]:
        receiver = self._receivers[number % len(self._receivers)]
        export = self._export_of(receiver)
        configure(self._settings, export)
        return export.uid, receiver.topic

    def _export_of(self, receiver: Receiver) -> Export:
        number, self._exports = self._exports, self._exports + 1
        revision = Revision(1, Mapping(f"in.c-bench.t{number}", COLUMNS), "1", b"", 0)
        partition, name = number % self._settings.rows_partitions, f"e{number}"
        return Export(
            new_uid(), receiver.uid, "1", receiver.receiver_id, name, name, Conditions(), partition, (), (revision,), 0
        )


class Sender:
    """Writes events as producers do; a thread of its own sends to the others all the time."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "linger.ms": 0})
        self._stop = threading.Event()

    def to_all(self, topic: str) -> None:
        for partition in range(PARTITIONS):
            self._producer.produce(topic, BODY, partition=partition)
        self._producer.flush()

    @contextmanager
    def sending(self, topics: Sequence[str]) -> Iterator[None]:
        thread = threading.Thread(target=self._send, args=(topics,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._producer.flush()

    def _send(self, topics: Sequence[str]) -> None:
        places = cycle([(topic, partition) for partition in range(PARTITIONS) for topic in topics])
        while not self._stop.wait(BETWEEN_EVENTS_SECONDS):
            topic, partition = next(places)
            self._producer.produce(topic, BODY, partition=partition)
            self._producer.poll(0)


def delivered(settings: Settings) -> list[Delivered]:
    """All rows so far."""
    found = []
    for partition in range(settings.rows_partitions):
        for message in read_to_end(settings, NAMES.rows, partition):
            rows = rows_codec.decode(message.value() or b"")
            assert not rows.failures, rows.failures[0]
            for line in rows.csv.decode().splitlines():
                event_time = datetime.fromisoformat(line.split(",")[0].strip('"')).timestamp()
                found.append(Delivered(rows.export_uid, event_time, message.timestamp()[1] / 1000))
    return found


def worst_delays(rows: Sequence[Delivered], moments: Sequence[float]) -> list[float]:
    """The longest that an event near each moment took to become a row, in seconds."""
    return [
        max(row.row_time - row.event_time for row in rows if -BEFORE_SECONDS <= row.event_time - moment < AFTER_SECONDS)
        for moment in moments
    ]


def measure(settings: Settings, receivers: int, mappers: int, changes: int) -> dict[str, list[float]]:
    """The worst delays of the others, by what was changed, and how long the new ones waited for their first row."""
    create_topics(connect_admin(settings), system_topics(settings))
    installation, sender = Installation(settings), Sender(settings)
    old = {export.uid for export in installation.add_receivers(receivers)}
    topics = installation.topics
    kinds: dict[str, Change | None] = {
        "nothing": None,
        "new receiver": installation.new_receiver,
        "new export": installation.new_export,
    }
    moments: dict[str, list[float]] = {kind: [] for kind in kinds}
    added: dict[str, list[tuple[str, float]]] = {kind: [] for kind in kinds}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(running("mapper", settings, mapper_port=free_port(), mapping_children=1))
            for _ in range(mappers)
        ]
        for topic in topics:
            sender.to_all(topic)
        while not has_joined(settings, "mapper") or len(delivered(settings)) < receivers * PARTITIONS:
            check_alive(*processes)
            time.sleep(0.5)
        with sender.sending(topics):
            time.sleep(AFTER_SECONDS)
            for kind, change in kinds.items():
                for number in range(changes):
                    time.sleep(BEFORE_SECONDS)
                    moments[kind].append(time.time())
                    if change is not None:
                        uid, topic = change(number)
                        added[kind].append((uid, time.time()))
                        sender.to_all(topic)
                    time.sleep(AFTER_SECONDS)
            time.sleep(AFTER_SECONDS)
        check_alive(*processes)
    rows = delivered(settings)
    of_others = [row for row in rows if row.export_uid in old]
    results = {f"{kind}: others' worst delay": worst_delays(of_others, moments[kind]) for kind in kinds}
    first: dict[str, float] = {}
    for row in rows:
        first[row.export_uid] = min(row.row_time, first.get(row.export_uid, row.row_time))
    for kind, entities in added.items():
        results[f"{kind}: first row"] = [first[uid] - moment for uid, moment in entities]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--receivers", type=int, nargs="+", default=[1, 50, 200])
    parser.add_argument("--mappers", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--changes", type=int, default=20)
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {arguments.changes} changes of each kind. Seconds: median, worst.")
    for receivers in arguments.receivers:
        for mappers in arguments.mappers:
            with tempfile.TemporaryDirectory() as directory, LocalBroker(Path(directory)) as broker:
                results = measure(make_settings(broker), receivers, mappers, arguments.changes)
            print(f"{receivers} receivers, {mappers} mappers", flush=True)
            for name, seconds in results.items():
                if seconds:
                    print(f"  {name:<40} {statistics.median(seconds):6.2f} {max(seconds):6.2f}", flush=True)


if __name__ == "__main__":
    main()
