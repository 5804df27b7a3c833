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
import tempfile
import time
from pathlib import Path

import orjson
from _installation import (
    BUCKET,
    TOPIC,
    check_alive,
    configure,
    forget,
    forget_group,
    has_joined,
    make_export,
    make_receiver,
    make_settings,
    make_table,
    metric,
    preload,
    running,
)
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.keboola.client import StorageClient
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.local.storage import Emulator
from app.local.storage import running as emulating
from app.model.conditions import MIB, Conditions
from app.model.ids import new_uid
from app.settings import Settings

BATCHES = 4


def whole_way(settings: Settings, storage: Emulator, topic_id: str, run: int, events: int) -> float:
    """Events per second of one run."""
    sink_port, table = free_port(), f"run{run}"
    conditions = Conditions(events // BATCHES, 1024 * MIB, 3600)
    receiver = make_receiver(topic_id)
    with (
        running("mapper", settings, mapper_port=free_port(), mapping_children=1) as mapper,
        running("sink", settings, storage, sink_port=sink_port) as sink,
    ):
        while not (
            metric(sink_port, "streams_sink_partitions") == settings.rows_partitions
            and has_joined(settings, "mapper")
            and has_joined(settings, "sink")
        ):
            check_alive(mapper, sink)
            time.sleep(0.1)
        export = make_export(new_uid(), make_table(settings, storage, table), conditions, rows_partition=0)
        configure(settings, receiver, export)
        begun = time.perf_counter()
        while (rows := storage.sql(f'select count(*) from "{BUCKET}".{table}')[0][0]) < events:
            check_alive(mapper, sink)
            time.sleep(0.1)
        seconds = time.perf_counter() - begun
    assert rows == events
    forget(settings, export, receiver)
    forget_group(settings, "mapper")
    return events / seconds


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
        emulating(Path(directory) / "storage") as storage,
    ):
        settings = make_settings(broker)
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
