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
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from confluent_kafka import Producer
from isal import igzip
from mapper import PLAIN, PREFIX, body

from app.kafka.client import connect_admin
from app.kafka.codec import control_codec, rows_codec
from app.kafka.names import Names
from app.kafka.plan import create_topics, system_topics
from app.kafka.reader import read_to_end
from app.kafka.view import control_key
from app.keboola.client import StorageClient
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.local.storage import Emulator, running
from app.model.cipher import Cipher
from app.model.conditions import MIB, Conditions
from app.model.ids import new_event_id
from app.model.receiver import LIVE_LANE, Export, Mapping, Revision
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
    uid, table = f"uid-{run}", f"run{run}"
    with StorageClient(storage.url, storage.master_token) as client:
        client.create_table("in.c-bench", table, [column.name for column in PLAIN])
        token = client.create_token(table, {"in.c-bench": "write"})
    revision = Revision(
        1, Mapping(f"in.c-bench.{table}", PLAIN), token.id, Cipher(settings.encryption_key).encrypt(token.token), 0
    )
    conditions = Conditions(10 * rows, 1 << 40, 86_400)
    export = Export(uid, "r", "1", "bench", table, table, conditions, run, (), (revision,), 0)
    names = Names(PREFIX)
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "compression.type": "lz4",
            "message.max.bytes": settings.max_message_bytes,
        }
    )
    producer.produce(names.control, control_codec.encode(export), control_key("export", f"1/bench/{table}"))
    for base in range(0, rows, ROWS_PER_ENVELOPE):
        value = rows_codec.encode(envelope(uid, base, min(ROWS_PER_ENVELOPE, rows - base)))
        producer.produce(names.rows, value, uid, run)
        producer.poll(0)
    producer.flush()
    return uid


def floor(settings: Settings, partition: int, rows: int) -> float:
    counted, begun = 0, time.perf_counter()
    for message in read_to_end(settings, Names(PREFIX).rows, partition):
        found = rows_codec.decode(message.value() or b"")
        igzip.compress(found.csv, 1)
        counted += found.count
    assert counted == rows
    return rows / (time.perf_counter() - begun)


def counted(port: int, what: str) -> int:
    """One of the sink's counters: "rows" taken, or "staged_rows" in recorded slices."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return next((int(float(line.split()[1])) for line in lines if line.startswith(f"streams_sink_{what}_total")), 0)


def sink_rate(settings: Settings, storage: Emulator, rows: int) -> float:
    port = free_port()
    environment = {
        **os.environ,
        "STREAMS_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "STREAMS_TOPIC_PREFIX": PREFIX,
        "STREAMS_STORAGE_API_HOST": storage.url,
        "STREAMS_STORAGE_S3_ENDPOINT": storage.s3_url,
        "STREAMS_ENCRYPTION_KEY": settings.encryption_key[0],
        "STREAMS_LOG_LEVEL": "warning",
        "STREAMS_STAGING_SPAN_SECONDS": "1",
        "STREAMS_SINK_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "app", "sink"], env=environment)
    try:
        while counted(port, "rows") == 0:
            if process.poll() is not None:
                sys.exit("the sink ended")
            time.sleep(0.01)
        begun = time.perf_counter()
        while counted(port, "staged_rows") < rows:
            time.sleep(0.05)
        return rows / (time.perf_counter() - begun)
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
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
