"""Events per second from the Kafka topic to the table: mapper, sink, broker and Storage emulator on the same cores.

    python benchmarks/whole_way.py [--events 1000000] [--runs 3]

A topic of 4 partitions is filled with 120-byte bodies as the gateway writes them. Then mapper (one child) and sink
start, and when both are up the receiver and its export (`id, datetime, ip, body`, four batches) become known to them:
time runs from there until SQL sees the last row. The floor is what a script would do: a bare aiokafka loop that parses
each body with orjson and writes csv through gzip into a file, with no template, no delivery and no guarantee.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import gzip
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer
from mapper import PLAIN, PREFIX, TOPIC, preload

from app.kafka.client import connect_admin
from app.kafka.codec import ControlValue, control_codec
from app.kafka.names import Names
from app.kafka.view import control_key
from app.keboola.client import StorageClient
from app.local.kafka import LocalBroker
from app.local.parts import answers
from app.local.ports import free_port
from app.local.storage import Emulator, running
from app.model.cipher import Cipher
from app.model.conditions import MIB, Conditions
from app.model.ids import new_uid
from app.model.receiver import Export, Mapping, Receiver, Revision
from app.settings import Settings

BATCHES = 4


def configure(settings: Settings, storage: Emulator, topic_id: str, table: str, events: int) -> None:
    """Make a table, and make it the receiver's only export."""
    with StorageClient(storage.url, storage.master_token) as client:
        client.create_table("in.c-bench", table, [column.name for column in PLAIN])
        token = client.create_token(table, {"in.c-bench": "write"})
    secret = Cipher(settings.encryption_key).encrypt(token.token)
    receiver = Receiver("receiver", "1", "flights", "flights", "", b"", TOPIC, topic_id, 4, 0)
    revision = Revision(1, Mapping(f"in.c-bench.{table}", PLAIN), token.id, secret, 0)
    conditions = Conditions(events // BATCHES, 1024 * MIB, 3600)
    export = Export(new_uid(), receiver.uid, "1", "flights", "all", "all", conditions, 0, (), (revision,), 0)
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    records: list[tuple[str, ControlValue]] = [
        (control_key("receiver", "1/flights"), receiver),
        (control_key("export", "1/flights/all"), export),
    ]
    for key, value in records:
        producer.produce(Names(PREFIX).control, control_codec.encode(value), key)
    producer.flush()


def forget(settings: Settings) -> None:
    """End the receiver, so that the next run begins without it."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for kind, entity in (("export", "1/flights/all"), ("receiver", "1/flights")):
        producer.produce(Names(PREFIX).control, None, control_key(kind, entity))
    producer.flush()


def whole_way(settings: Settings, storage: Emulator, topic_id: str, run: int, events: int) -> float:
    """Events per second of one run."""
    environment = {
        **os.environ,
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "STREAMS_TOPIC_PREFIX": PREFIX,
        "STREAMS_STORAGE_API_HOST": storage.url,
        "STREAMS_STORAGE_S3_ENDPOINT": storage.s3_url,
        "STREAMS_ENCRYPTION_KEY": settings.encryption_key[0],
        "STREAMS_MAPPING_CHILDREN": "1",
        "STREAMS_LOG_LEVEL": "warning",
        "STREAMS_MAPPER_PORT": str(free_port()),
        "STREAMS_SINK_PORT": str(free_port()),
    }
    processes = [subprocess.Popen([sys.executable, "-m", "app", name], env=environment) for name in ("mapper", "sink")]
    try:
        for name in ("MAPPER", "SINK"):
            while not answers(f"http://127.0.0.1:{environment[f'STREAMS_{name}_PORT']}/health-check"):
                time.sleep(0.1)
        time.sleep(5)  # both have joined their groups, and the sink has opened its ledgers
        table = f"run{run}"
        configure(settings, storage, topic_id, table, events)
        begun = time.perf_counter()
        while (rows := storage.sql(f'select count(*) from "in.c-bench".{table}')[0][0]) < events:
            if any(process.poll() is not None for process in processes):
                sys.exit("a process ended")
            time.sleep(0.1)
        seconds = time.perf_counter() - begun
        assert rows == events
        return events / seconds
    finally:
        forget(settings)
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)
        admin = connect_admin(settings)  # the next run reads the same events again
        for answer in admin.delete_consumer_groups([Names(PREFIX).group("mapper")]).values():
            answer.result(20)


async def floor(settings: Settings, events: int, file: Path) -> float:
    """A script without guarantees over the same records."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(TOPIC, partition) for partition in range(4)])
        counted, begun = 0, time.perf_counter()
        with gzip.open(file, "wb", compresslevel=1) as stored:
            writer = csv.writer(text := io.TextIOWrapper(stored, "utf-8", newline=""), quoting=csv.QUOTE_ALL)
            while counted < events:
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    for record in records:
                        orjson.loads(record.value)
                        headers = dict(record.headers)
                        writer.writerow(
                            (headers["streams.id"], record.timestamp, headers["streams.ip"], record.value.decode())
                        )
                    counted += len(records)
            text.flush()
        return events / (time.perf_counter() - begun)
    finally:
        await consumer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalBroker(Path(directory) / "kafka") as broker,
        running(Path(directory) / "storage") as storage,
    ):
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own argument
            kafka_bootstrap_servers=broker.bootstrap_servers,
            topic_prefix=PREFIX,
            encryption_key=[Cipher.new_key()],
        )
        with StorageClient(storage.url, storage.master_token) as client:
            client.create_bucket("in", "bench")
        topic_id = preload(settings, arguments.events)
        rates: dict[str, list[float]] = {"floor: a script with orjson, csv and gzip": [], "topic to table": []}
        for run in range(arguments.runs):
            for name, rate in zip(
                rates,
                (
                    asyncio.run(floor(settings, arguments.events, Path(directory) / "floor.csv.gz")),
                    whole_way(settings, storage, topic_id, run, arguments.events),
                ),
                strict=True,
            ):
                rates[name].append(rate)
    print(f"{os.cpu_count()} cores, {arguments.events:,} events of 120 bytes, median of {arguments.runs} runs")
    for name, values in rates.items():
        spread = ", ".join(f"{value:,.0f}" for value in values)
        print(f"{name:<45} {statistics.median(values):>10,.0f} events/s  ({spread})")
    ratio = statistics.median(a / b for a, b in zip(*reversed(list(rates.values())), strict=True))
    print(f"ratio to the floor, median of the pairs: {ratio:.2f}")


if __name__ == "__main__":
    main()
