"""Events per second through the real mapper process: receiver topic to rows, one mapping child, broker on the same
cores.

    python benchmarks/mapper.py [--events 600000] [--runs 3]

Preloads a topic of 4 partitions with 120-byte bodies as the gateway writes them (lz4, headers `streams.id` and
`streams.ip`), then maps it with the columns `id, datetime, ip, body`, and with a template of two joined lookups
besides. The rate is taken from the broker's times of the first and the last envelope, so that it has no process start
in it. The floor is a bare aiokafka loop that reads the same topic and does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from app.kafka.client import connect_admin
from app.kafka.codec import ControlValue, control_codec, rows_codec
from app.kafka.names import Names
from app.kafka.plan import create_topics, describe_topics, receiver_topic, system_topics
from app.kafka.reader import read_to_end
from app.kafka.view import control_key
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.model.conditions import Conditions
from app.model.ids import new_event_id, new_uid
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision
from app.settings import Settings

PREFIX = "bench"
TOPIC = Names(PREFIX).events("1", "flights")
PLAIN = (
    Column("id", ColumnType.ID),
    Column("datetime", ColumnType.DATETIME),
    Column("ip", ColumnType.IP),
    Column("body", ColumnType.BODY),
)
TEMPLATE = (*PLAIN, Column("flight", ColumnType.TEMPLATE, template='Body("carrier") + "-" + Body("route.origin")'))


def body(number: int) -> bytes:
    """A JSON body of exactly 120 bytes."""
    text = f'{{"flight":{number},"carrier":"UA","route":{{"origin":"EWR","dest":"IAH"}},"delay":11,"pad":""}}'
    return text.replace('"pad":""', f'"pad":"{"x" * (120 - len(text))}"').encode()


def preload(settings: Settings, events: int) -> str:
    """Create the topics and fill the receiver's; its id."""
    admin = connect_admin(settings)
    create_topics(admin, [*system_topics(settings), receiver_topic(settings, TOPIC)])
    while TOPIC not in (found := describe_topics(admin, [TOPIC])):
        time.sleep(0.05)
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "linger.ms": 5,
            "compression.type": "lz4",
            "enable.idempotence": True,
            "queue.buffering.max.messages": events + 1,
        }
    )
    for number in range(events):
        headers: list[tuple[str, str | bytes | None]] = [("streams.id", new_event_id()), ("streams.ip", "127.0.0.1")]
        producer.produce(TOPIC, body(number), partition=number % 4, headers=headers)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return found[TOPIC][0]


def configure(settings: Settings, topic_id: str, columns: tuple[Column, ...], rows_partition: int) -> None:
    """Make it the receiver's only export, with a rows partition of its own."""
    receiver = Receiver("receiver", "1", "flights", "flights", "", b"", TOPIC, topic_id, 4, 0)
    revision = Revision(1, Mapping("in.c-bench.flights", columns), "1", b"", 0)
    uid = new_uid()
    export = Export(uid, receiver.uid, "1", "flights", "all", "all", Conditions(), rows_partition, (), (revision,), 0)
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    records: list[tuple[str, ControlValue]] = [
        (control_key("receiver", "1/flights"), receiver),
        (control_key("export", "1/flights/all"), export),
    ]
    for key, value in records:
        producer.produce(Names(PREFIX).control, control_codec.encode(value), key)
    producer.flush()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> tuple[int, list[int]]:
    """A process and its children."""
    return pid, [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def mapper_rate(settings: Settings, admin: AdminClient, rows_partition: int, events: int) -> tuple[float, str]:
    """Run the mapper process until every event is a row; events per second of its steady part, and what it cost."""
    environment = {
        **os.environ,
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "STREAMS_TOPIC_PREFIX": PREFIX,
        "STREAMS_MAPPER_PORT": str(free_port()),
        "STREAMS_MAPPING_CHILDREN": "1",
        "STREAMS_LOG_LEVEL": "warning",
    }
    command = "from app.mapper.process import run; from app.settings import load_settings; run(load_settings(None))"
    process = subprocess.Popen([sys.executable, "-c", command], env=environment)
    try:
        counted, offset = 0, 0
        first: tuple[int, int] | None = None
        begun: tuple[int, float, float] | None = None
        last = 0
        while counted < events:
            if process.poll() is not None:
                sys.exit(f"the mapper ended with {process.returncode}")
            for message in read_to_end(settings, Names(PREFIX).rows, rows_partition, offset):
                rows = rows_codec.decode(message.value() or b"")
                assert not rows.failures, rows.failures[0]
                offset, last = (message.offset() or 0) + 1, message.timestamp()[1]
                counted += rows.count
                first = first or (last, counted)
                parent, children = family(process.pid)
                spent = cpu_seconds(parent), sum(map(cpu_seconds, children))
                begun = begun or (counted, *spent)
            time.sleep(0.2)
        assert first is not None
        assert begun is not None
        per_event = [(now - then) / (counted - begun[0]) * 1e6 for now, then in zip(spent, begun[1:], strict=True)]
        return (counted - first[1]) / (last - first[0]) * 1000, "CPU {:.1f} + {:.1f} µs".format(*per_event)
    finally:
        process.terminate()
        process.wait(20)
        for answer in admin.delete_consumer_groups([Names(PREFIX).group("mapper")]).values():
            answer.result(20)


async def floor_rate(settings: Settings, events: int) -> float:
    """A bare aiokafka loop over the same records, in this process."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(TOPIC, partition) for partition in range(4)])
        counted, begun = 0, time.perf_counter()
        while counted < events:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                counted += len(records)
        return events / (time.perf_counter() - begun)
    finally:
        await consumer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, LocalBroker(Path(directory)) as broker:
        settings = Settings(kafka_bootstrap_servers=broker.bootstrap_servers, topic_prefix=PREFIX)
        topic_id = preload(settings, arguments.events)
        admin = connect_admin(settings)
        rates: dict[str, list[float]] = {}
        costs: dict[str, str] = {}
        for run in range(arguments.runs):
            floor = asyncio.run(floor_rate(settings, arguments.events))
            rates.setdefault("floor: bare aiokafka loop, nothing mapped", []).append(floor)
            for column, (name, columns) in enumerate(
                {"id, datetime, ip, body": PLAIN, "... and a template of two joined lookups": TEMPLATE}.items()
            ):
                rows_partition = (2 * run + column) % settings.rows_partitions
                configure(settings, topic_id, columns, rows_partition)
                rate, cost = mapper_rate(settings, admin, rows_partition, arguments.events)
                rates.setdefault(f"mapper: {name}", []).append(rate)
                costs[f"mapper: {name}"] = cost
    print(f"{os.cpu_count()} cores, {arguments.events:,} events of 120 bytes, median of {arguments.runs} runs.")
    print("CPU is that of the mapper and of its child, for one event.")
    for name, values in rates.items():
        spread = ", ".join(f"{value:,.0f}" for value in values)
        print(f"{name:<60} {statistics.median(values):>10,.0f} events/s  ({spread})  {costs.get(name, '')}")


if __name__ == "__main__":
    main()
