"""The sizes of one sink process with 1,000 exports: restart, recovery after SIGKILL, memory, beside what is wanted.

    python benchmarks/sink_sizes.py [--exports 1000] [--rate 20000] [--seconds 60] [--default-conditions]

Default settings. 1,000 exports of 50 receivers have a window open each, over all 12 rows partitions; rows of
`id, datetime, ip, body` with 120-byte bodies come ten in an envelope. The windows stay open (10 million rows, 24
hours), which is the worst for memory and for a restart; with `--default-conditions` they have the defaults (1,000 rows,
5 minutes).

A restart is SIGTERM, then a new process: until it has taken a row, and until it has taken what came meanwhile. Recovery
is SIGKILL, then a new process at once: until rows sent after the kill are in their table. Kafka waits for the killed
one's session to end (10 s by default), which is most of that time. Memory is the most that a process had (VmHWM) while
rows came at the rate, in turn for all exports; where the sink, the broker and Storage share two cores it falls behind,
and holds as much as it may.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from _installation import BUCKET, NAMES, PLAIN, body, configure, make_settings, metric, running
from confluent_kafka import Producer

from app.kafka.client import connect_admin
from app.kafka.codec import rows_codec
from app.kafka.plan import create_topics, system_topics
from app.keboola.client import StorageClient
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.local.storage import Emulator
from app.local.storage import running as emulating
from app.model.cipher import Cipher
from app.model.conditions import MIB, Conditions
from app.model.ids import new_event_id
from app.model.receiver import LIVE_LANE, Export, Mapping, Receiver, Revision
from app.model.rows import Rows, Source
from app.settings import Settings

ROWS_PER_ENVELOPE = 10
EXPORTS_PER_RECEIVER = 20
TABLES = 50
"""All exports of a receiver write to its table: what is measured is the sink."""
OPEN = Conditions(10_000_000, 50 * MIB, 86_400)
DEFAULT = Conditions(1000, 5 * MIB, 300)
PROBE_ROWS = 10
ENVELOPES_BEFORE = 10
"""What each export has been sent before the restart."""
WANTED_RESTART_SECONDS = 10
WANTED_RECOVERY_SECONDS = 15
WANTED_MB = 400


@dataclass
class Sender:
    """Envelopes of all exports, in turn. Every row has the same cells but its id."""

    settings: Settings
    exports: Sequence[Export]
    sent_rows: int = 0

    def __post_init__(self) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": self.settings.kafka_bootstrap_servers,
                "compression.type": "lz4",
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._next = dict.fromkeys((export.uid for export in self.exports), 0)
        self._turn = 0

    def send(self, envelopes: int) -> None:
        for _ in range(envelopes):
            export = self.exports[self._turn % len(self.exports)]
            self._turn += 1
            self.send_to(export)
        self._producer.poll(0)

    def send_to(self, export: Export) -> None:
        base = self._next.setdefault(export.uid, 0)
        self._next[export.uid] = base + ROWS_PER_ENVELOPE
        rows = envelope(export.uid, base)
        self._producer.produce(NAMES.rows, rows_codec.encode(rows), export.uid, export.rows_partition)
        self.sent_rows += ROWS_PER_ENVELOPE

    def flush(self) -> None:
        self._producer.flush()

    def at_rate(self, rows_per_second: int, seconds: float) -> None:
        begun, first = time.monotonic(), self.sent_rows
        while (passed := time.monotonic() - begun) < seconds:
            due = int(passed * rows_per_second) - (self.sent_rows - first)
            self.send(due // ROWS_PER_ENVELOPE)
            time.sleep(0.02)
        self.flush()


TAIL = '","2026-11-23T10:00:00.000Z","127.0.0.1","' + body(1).decode().replace('"', '""') + '"\n'


def envelope(uid: str, base: int) -> Rows:
    csv = "".join(f'"{new_event_id()}{TAIL}' for _ in range(ROWS_PER_ENVELOPE)).encode()
    source = Source("topic", 0, LIVE_LANE)
    return Rows(uid, 1, source, base, base + ROWS_PER_ENVELOPE, [0, ROWS_PER_ENVELOPE], ROWS_PER_ENVELOPE, csv, [], 0)


def make_exports(
    settings: Settings, storage: Emulator, count: int, conditions: Conditions
) -> tuple[list[Export], Export]:
    """The exports, and one more whose window ends with each envelope; all in the control log."""
    with StorageClient(storage.url, storage.master_token) as client:
        client.create_bucket("in", "bench")
        for number in range(TABLES):
            client.create_table(BUCKET, f"t{number}", [column.name for column in PLAIN])
        client.create_table(BUCKET, "probe", [column.name for column in PLAIN])
        token = client.create_token("bench", {BUCKET: "write"})
    secret = Cipher(settings.encryption_key).encrypt(token.token)

    def export(number: int, table: str, conditions: Conditions) -> Export:
        revision = Revision(1, Mapping(f"{BUCKET}.{table}", PLAIN), token.id, secret, 0)
        receiver, name = f"r{number // EXPORTS_PER_RECEIVER}", f"e{number}"
        partition = number % settings.rows_partitions
        return Export(f"uid-{number}", receiver, "1", receiver, name, name, conditions, partition, (), (revision,), 0)

    exports = [export(number, f"t{number // EXPORTS_PER_RECEIVER % TABLES}", conditions) for number in range(count)]
    probe = export(count, "probe", replace(conditions, count=PROBE_ROWS))
    receivers = [
        Receiver(f"r{n}", "1", f"r{n}", f"r{n}", "", b"", NAMES.events("1", f"r{n}"), f"t{n}", 4, 0)
        for n in range(count // EXPORTS_PER_RECEIVER + 1)
    ]
    configure(settings, *receivers, *exports, probe)
    return exports, probe


@dataclass
class Sink:
    process: subprocess.Popen[bytes]
    port: int

    @property
    def rows(self) -> int:
        return metric(self.port, "streams_sink_rows_total")

    def megabytes(self, name: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) // 1024

    def wait_rows(self, wanted: int, timeout_seconds: float = 300) -> float:
        """Seconds until so many rows are taken."""
        begun = time.monotonic()
        while self.rows < wanted:
            if self.process.poll() is not None:
                raise SystemExit(f"the sink ended with {self.process.returncode}")
            if time.monotonic() - begun > timeout_seconds:
                raise SystemExit(f"{self.rows} of {wanted} rows after {timeout_seconds:g} s")
            time.sleep(0.02)
        return time.monotonic() - begun


@contextmanager
def sink(settings: Settings, storage: Emulator) -> Iterator[Sink]:
    port = free_port()
    with running("sink", settings, storage, sink_port=port) as process:
        yield Sink(process, port)


def in_table(storage: Emulator) -> int:
    ((rows,),) = storage.sql(f'select count(*) from "{BUCKET}"."probe"')
    return int(str(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exports", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--default-conditions", action="store_true")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalBroker(Path(directory) / "kafka") as broker,
        emulating(Path(directory) / "storage") as storage,
    ):
        settings = make_settings(broker)
        create_topics(connect_admin(settings), system_topics(settings))
        conditions = DEFAULT if arguments.default_conditions else OPEN
        exports, probe = make_exports(settings, storage, arguments.exports, conditions)
        sender = Sender(settings, exports)
        print(f"{os.cpu_count()} cores, {len(exports):,} exports with an open window each", flush=True)
        measure_restart(settings, storage, sender, probe)
        measure_recovery(settings, storage, sender, probe)
        measure_memory(settings, storage, sender, arguments.rate, arguments.seconds)


def measure_restart(settings: Settings, storage: Emulator, sender: Sender, probe: Export) -> None:
    """Leaves a file for the probe's next batch behind, and nothing staged of the others."""
    with sink(settings, storage) as first:
        sender.send(ENVELOPES_BEFORE * len(sender.exports))
        sender.send_to(probe)
        sender.flush()
        first.wait_rows(sender.sent_rows)
        wait_in_table(storage, PROBE_ROWS)
    sender.send(len(sender.exports))
    sender.flush()
    begun = time.monotonic()
    with sink(settings, storage) as second:
        second.wait_rows(1)
        restart = time.monotonic() - begun
        second.wait_rows(ROWS_PER_ENVELOPE * len(sender.exports))
        all_taken = time.monotonic() - begun
    tell("restart, to the first row taken", f"{restart:.1f} s", f"under {WANTED_RESTART_SECONDS} s")
    tell("  to as many rows as came while it was away", f"{all_taken:.1f} s")


def measure_recovery(settings: Settings, storage: Emulator, sender: Sender, probe: Export) -> None:
    with sink(settings, storage) as killed:
        sender.send_to(probe)
        sender.flush()
        wait_in_table(storage, 2 * PROBE_ROWS)
        begun = time.monotonic()
        killed.process.kill()
        killed.process.wait()
        sender.send_to(probe)
        sender.flush()
    with sink(settings, storage) as heir:
        heir.wait_rows(1)
        first = time.monotonic() - begun
        wait_in_table(storage, 3 * PROBE_ROWS)
        recovery = time.monotonic() - begun
    tell("SIGKILL, to rows sent afterwards in the table", f"{recovery:.1f} s", f"under {WANTED_RECOVERY_SECONDS} s")
    tell("  to the first row taken", f"{first:.1f} s")


def measure_memory(settings: Settings, storage: Emulator, sender: Sender, rate: int, seconds: float) -> None:
    with sink(settings, storage) as process:
        process.wait_rows(1)
        at_rest = process.megabytes("VmRSS")
        before = sender.sent_rows
        taken = process.rows
        sender.at_rate(rate, seconds)
        taken = process.rows - taken
        sent = sender.sent_rows - before
        tell(
            f"memory at {rate:,} rows/s for {seconds:g} s, the most",
            f"{process.megabytes('VmHWM')} MB",
            f"under {WANTED_MB} MB",
        )
        tell("  before the load", f"{at_rest} MB")
        held = metric(process.port, "streams_sink_held_bytes") // MIB
        tell("  rows held, by its own account", f"{held} MB")
        tell("  rows taken in that time", f"{taken:,} of {sent:,}")


def tell(what: str, value: str, wanted: str = "") -> None:
    print(f"{what:<58} {value:>20}" + (f"  (wanted: {wanted})" if wanted else ""), flush=True)


def wait_in_table(storage: Emulator, rows: int, timeout_seconds: float = 120) -> None:
    """Until the probe's table has so many rows."""
    deadline = time.monotonic() + timeout_seconds
    while (found := in_table(storage)) < rows:
        if time.monotonic() > deadline:
            raise SystemExit(f"{found} of {rows} rows in the table after {timeout_seconds:g} s")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
