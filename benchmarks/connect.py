"""Records per second through our Kafka Connect sink on a real worker, each acknowledged, by size and kind of batch.

    python benchmarks/connect.py [--records 300000] [--runs 3] [--batches 100 500] [--tasks 1]

A standalone worker sends a topic of records of 120 bytes in 4 partitions, as JSON arrays and as NDJSON, plain and
compressed, to the real gateway with its Kafka, and to `no Kafka`: a server that answers 200 at once. Broker, worker and
gateway share the cores. Two floors beside it, in the same rounds: `worker alone`, a sink that drops what it is given,
and `one connection`, a loop in Python that posts the same bodies, made beforehand, one after the other, which is what
one task could do at best. Rates are taken between a third of the records and the last commit but one, from what the
sink has committed; `us/record` is the CPU time of the worker meanwhile. The first connector of a round warms the
worker and is not counted. Needs what `make connect` builds, and a JDK.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.client
import itertools
import os
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from _connect_worker import JARS, SINK_JAR, Connect, Figure, connect_worker
from _installation import body
from confluent_kafka import Producer
from gateway import PREFIX, make_receiver, worker

from app.kafka.client import connect_admin
from app.kafka.plan import TopicSpec, create_topics, describe_topics
from app.local.kafka import LocalBroker
from app.model.cipher import Cipher
from app.model.connect import Destination, SinkKind, SinkRoute, sink_config
from app.settings import Settings

TOPIC, PARTITIONS = "orders", 4
LOOP_SECONDS = 1.5
BLACKHOLE = {"connector.class": "blackhole.Blackhole", "topics": TOPIC}


@dataclass(frozen=True)
class Kind:
    """One way to send: what the sink is set to."""

    size: int
    body: str
    compression: str

    @property
    def settings(self) -> dict[str, str]:
        poll = {"consumer.override.max.poll.records": str(max(500, self.size))}
        return {
            "batch.max.size": str(self.size),
            "body.format": self.body,
            "body.compression": self.compression,
            **poll,
        }

    def encode(self, records: list[bytes]) -> bytes:
        plain = b"[%s]" % b",".join(records) if self.body == "json-array" else b"\n".join(records) + b"\n"
        return gzip.compress(plain, 6) if self.compression == "gzip" else plain

    def headers(self, first: int) -> dict[str, str]:
        """Those of the sink's request for records from this offset on."""
        return {
            "Content-Type": "application/json" if self.body == "json-array" else "application/x-ndjson",
            "Idempotency-Key": f"kafka:loop:{TOPIC}/0/{first}-{first + self.size - 1}",
            **({"Content-Encoding": "gzip"} if self.compression == "gzip" else {}),
        }


def main() -> None:
    arguments = argparse.ArgumentParser(description="Records per second through our Kafka Connect sink.")
    arguments.add_argument("--records", type=int, default=300_000)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--batches", type=int, nargs="+", default=[100, 500])
    arguments.add_argument("--tasks", type=int, default=1)
    options = arguments.parse_args()
    if not SINK_JAR.exists() or not JARS.is_dir():
        sys.exit("benchmarks/connect.py needs a worker's jars and the sink's: make connect")
    with tempfile.TemporaryDirectory() as directory, LocalBroker(Path(directory) / "kafka") as broker:
        kinds = [Kind(*one) for one in itertools.product(options.batches, ("json-array", "ndjson"), ("none", "gzip"))]
        figures = measure(
            Path(directory), broker.bootstrap_servers, options.records, options.runs, kinds, options.tasks
        )
        show(figures, options.records, options.runs, options.tasks)


def measure(
    directory: Path, servers: str, records: int, runs: int, kinds: list[Kind], tasks: int
) -> dict[tuple[str, Kind | None, str], list[Figure]]:
    """Figures of each round, by where it sends to, what it sends, and "sink" or "one connection"."""
    key = Cipher.new_key()
    settings = Settings(_env_file=None, kafka_bootstrap_servers=servers, topic_prefix=PREFIX, encryption_key=[key])
    path = f"/v1/import/1/flights/{asyncio.run(make_receiver(settings))}"
    fill(settings, records)
    environment = {
        **os.environ,
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": servers,
        "STREAMS_TOPIC_PREFIX": PREFIX,
        "STREAMS_ENCRYPTION_KEY": key,
        "STREAMS_LOG_LEVEL": "warning",
    }
    floor = [sys.executable, str(Path(__file__).with_name("gateway.py")), "--serve-floor", "none"]
    figures: dict[tuple[str, Kind | None, str], list[Figure]] = {}
    with (
        worker([sys.executable, "-m", "app", "gateway"], environment) as (_, gateway_port),
        worker(floor, environment) as (_, floor_port),
    ):
        ports = {"gateway": gateway_port, "no Kafka": floor_port}
        await_accepted(gateway_port, path)
        for _ in range(runs):
            with connect_worker(directory, servers) as connect:

                def through(name: str, kind: Kind, connect: Connect = connect) -> Figure:
                    config = sink(f"http://127.0.0.1:{ports[name]}{path}", kind, tasks)
                    return connect.through(settings, config, PARTITIONS, records)

                through("no Kafka", kinds[0])
                alone = connect.through(settings, {**BLACKHOLE, "tasks.max": str(tasks)}, PARTITIONS, records)
                figures.setdefault(("worker alone", None, "sink"), []).append(alone)
                for kind, name in itertools.product(kinds, ports):
                    figures.setdefault((name, kind, "one connection"), []).append(loop(ports[name], path, kind))
                    figures.setdefault((name, kind, "sink"), []).append(through(name, kind))
    return figures


def fill(settings: Settings, records: int) -> None:
    admin = connect_admin(settings)
    create_topics(admin, [TopicSpec(TOPIC, PARTITIONS, 1, {})])
    while TOPIC not in describe_topics(admin, [TOPIC]):
        time.sleep(0.05)
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "linger.ms": 5,
            "compression.type": "lz4",
            "queue.buffering.max.messages": records + 1,
        }
    )
    for number in range(records):
        producer.produce(TOPIC, body(number), partition=number % PARTITIONS)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()


def await_accepted(port: int, path: str) -> None:
    """Until Kafka has acknowledged an event."""
    deadline = time.monotonic() + 60
    while True:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", b"{}", method="POST")
            urllib.request.urlopen(request, timeout=15).close()
            return
        except (OSError, urllib.error.URLError):
            if time.monotonic() > deadline:
                sys.exit("The gateway acknowledges nothing.")
            time.sleep(0.2)


def sink(url: str, kind: Kind, tasks: int) -> dict[str, str]:
    """The configuration that `streams connectors render` prints, but for the batches."""
    route = SinkRoute("bench", (TOPIC,), Destination(url), "dead", replication_factor=1, tasks=tasks)
    return sink_config(SinkKind.DATA_STREAMS, route) | kind.settings


def loop(port: int, path: str, kind: Kind) -> Figure:
    """The same bodies, one after the other over one connection."""
    bodies = [kind.encode([body(n) for n in range(first, first + kind.size)]) for first in range(0, 4_000, kind.size)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    sent, begun, spent = 0, time.monotonic(), time.process_time()
    while time.monotonic() - begun < LOOP_SECONDS:
        connection.request("POST", path, bodies[sent // kind.size % len(bodies)], kind.headers(sent))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"The gateway answered {answer.status}.")
        sent += kind.size
    connection.close()
    return Figure(sent / (time.monotonic() - begun), (time.process_time() - spent) / sent * 1e6)


def show(figures: Mapping[tuple[str, Kind | None, str], list[Figure]], records: int, runs: int, tasks: int) -> None:
    print(
        f"connect: medians of {runs} runs of {records} records, {tasks} tasks, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'to':<14}{'batch':>6}  {'body':<18}{'records/s':>12}{'best':>12}{'us/record':>11}"
        f"{'one connection':>16}{'of it':>7}"
    )
    for (to, kind, what), found in figures.items():
        if what == "one connection":
            continue
        rate, cpu = (statistics.median(getattr(one, column) for one in found) for column in ("rate", "cpu"))
        best = max(one.rate for one in found)
        size, text = ("", "") if kind is None else (kind.size, kind.body + (", gzip" * (kind.compression == "gzip")))
        line = f"{to:<14}{size:>6}  {text:<18}{rate:>12,.0f}{best:>12,.0f}{cpu:>11.2f}"
        if kind is not None:
            floor = figures[to, kind, "one connection"]
            ratio = statistics.median(one.rate / two.rate for one, two in zip(found, floor, strict=True))
            line += f"{statistics.median(one.rate for one in floor):>16,.0f}{ratio:>7.2f}"
        print(line)


if __name__ == "__main__":
    main()
