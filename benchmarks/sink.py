"""Rows per second of one sink process: the rows topic into recorded slices, broker and S3 server on the same cores.

    python benchmarks/sink.py [--rows 3000000] [--runs 3]

A rows partition is filled with envelopes of 900 KB (rows of `id, datetime, ip, body`, 120-byte bodies). Then the sink
starts; by its own counters, time runs from the first envelope that it has taken to the last recorded slice, so that it
has no process start in it. The window stays open: nothing is imported. The floor, in the same run, is a loop that reads
the same partition, decodes the envelopes and compresses their rows, and keeps nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from _installation import (
    NAMES,
    body,
    check_alive,
    configure,
    make_export,
    make_settings,
    make_table,
    metric,
    running,
)
from confluent_kafka import Producer
from isal import igzip

from app.kafka.client import connect_admin
from app.kafka.codec import rows_codec
from app.kafka.plan import create_topics, system_topics
from app.kafka.reader import read_to_end
from app.keboola.client import StorageClient
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.local.storage import Emulator
from app.local.storage import running as emulating
from app.model.conditions import MIB, Conditions
from app.model.ids import new_event_id
from app.model.receiver import LIVE_LANE
from app.model.rows import Rows, Source
from app.settings import Settings

ROWS_PER_ENVELOPE = 3800


def envelope(uid: str, base: int, count: int) -> Rows:
    cells = (
        (new_event_id(), "2026-11-23T10:00:00.000Z", "127.0.0.1", body(number).decode().replace('"', '""'))
        for number in range(base, base + count)
    )
    csv = "".join('"{}","{}","{}","{}"\n'.format(*row) for row in cells).encode()
    return Rows(uid, 1, Source("topic", 0, LIVE_LANE), base, base + count, [0, count], count, csv, [], 0)


def fill(settings: Settings, storage: Emulator, run: int, rows: int) -> str:
    """An export with a rows partition of its own, full of envelopes; its uid."""
    uid = f"uid-{run}"
    conditions = Conditions(10 * rows, 1 << 40, 86_400)
    configure(settings, make_export(uid, make_table(settings, storage, f"run{run}"), conditions, run))
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "compression.type": "lz4",
            "message.max.bytes": settings.max_message_bytes,
        }
    )
    for base in range(0, rows, ROWS_PER_ENVELOPE):
        value = rows_codec.encode(envelope(uid, base, min(ROWS_PER_ENVELOPE, rows - base)))
        producer.produce(NAMES.rows, value, uid, run)
        producer.poll(0)
    producer.flush()
    return uid


def floor(settings: Settings, partition: int, rows: int) -> float:
    counted, begun = 0, time.perf_counter()
    for message in read_to_end(settings, NAMES.rows, partition):
        found = rows_codec.decode(message.value() or b"")
        igzip.compress(found.csv, 1)
        counted += found.count
    assert counted == rows
    return rows / (time.perf_counter() - begun)


def sink_rate(settings: Settings, storage: Emulator, rows: int) -> float:
    port = free_port()
    with running("sink", settings, storage, sink_port=port, staging_span_seconds=1) as process:
        while metric(port, "streams_sink_rows_total") == 0:
            check_alive(process)
            time.sleep(0.01)
        begun = time.perf_counter()
        while metric(port, "streams_sink_staged_rows_total") < rows:
            check_alive(process)
            time.sleep(0.05)
        return rows / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalBroker(Path(directory) / "kafka") as broker,
        emulating(Path(directory) / "storage") as storage,
    ):
        settings = make_settings(broker)
        create_topics(connect_admin(settings), system_topics(settings))
        with StorageClient(storage.url, storage.master_token) as client:
            client.create_bucket("in", "bench")
        floors, rates = [], []
        for run in range(arguments.runs):
            fill(settings, storage, run, arguments.rows)
            floors.append(floor(settings, run, arguments.rows))
            rates.append(sink_rate(settings, storage, arguments.rows))
    size = len(envelope("uid", 0, 1000).csv) / 1000 * arguments.rows / MIB
    print(f"{os.cpu_count()} cores, {arguments.rows:,} rows ({size:,.0f} MB of CSV), median of {arguments.runs} runs")
    for name, values in (("floor: read, decode, compress", floors), ("sink: rows topic to recorded slices", rates)):
        spread = ", ".join(f"{value:,.0f}" for value in values)
        print(f"{name:<40} {statistics.median(values):>10,.0f} rows/s  ({spread})")


if __name__ == "__main__":
    main()
