"""A sink under test: its exports in the control log, its rows topic, its table; the sink itself as real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from consumer_group import committed_offsets, expel_members
from warm import Running, start

from app.api.drafts import Retirement, load_draft
from app.kafka.client import connect_admin
from app.kafka.codec import batch_codec, command_codec, control_codec, dead_letter_codec, rows_codec, state_codec
from app.kafka.names import Names
from app.kafka.plan import create_topics, system_topics
from app.kafka.producer import AsyncProducer
from app.kafka.reader import read_to_end
from app.kafka.view import control_key
from app.keboola.client import StorageClient
from app.local.ports import free_port
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.model.conditions import Conditions
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.ledger import BatchRecord, ExportState
from app.model.receiver import LIVE_LANE, Column, ColumnType, Export, Mapping, Revision
from app.model.rows import FailedEvent, Rows, Source, to_runs
from app.settings import Settings

DEADLINE_SECONDS = 90
_IMPORTS = ["app.sink.process", "app.keboola.s3"]
_MAIN = "from app.settings import load_settings; from app.sink.process import run; run(load_settings(None))"


@pytest.fixture
async def bench(kafka: str, topic_prefix: str, emulator: Emulator, tmp_path: Path) -> AsyncIterator[Bench]:
    """An export without a primary key, its topics, and nothing running yet."""
    environment = {
        "kafka_bootstrap_servers": kafka,
        "topic_prefix": topic_prefix,
        "storage_api_host": emulator.url,
        "storage_s3_endpoint": emulator.s3_url,
        "encryption_key": Cipher.new_key(),
        "rows_partitions": 2,
        "dead_letter_partitions": 1,
        "session_timeout_seconds": 6,
        "import_grace_seconds": 1,
        "retry_first_seconds": 1,
        "retry_unavailable_seconds": 1,
        "storage_read_seconds": 5,
    }
    settings = Settings(_env_file=None, **environment)  # type: ignore[arg-type,call-arg]  # as from the environment
    create_topics(connect_admin(settings), system_topics(settings))
    async with AsyncProducer(settings) as producer:
        bench = Bench(settings, emulator, producer, tmp_path, environment)
        try:
            yield bench
        finally:
            bench.stop_all()


@dataclass
class Bench:
    settings: Settings
    storage: Emulator
    producer: AsyncProducer
    tmp_path: Path
    environment: dict[str, Any]
    sinks: list[Running] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    sent: dict[str, list[str]] = field(default_factory=dict)
    failed: dict[str, list[int]] = field(default_factory=dict)

    async def export(self, name: str, conditions: Conditions, *, incremental: bool = True) -> Export:
        """An export with a table of its own, in force."""
        bucket = f"in.c-{self.settings.topic_prefix}"
        cipher = Cipher(self.settings.encryption_key)
        with StorageClient(self.storage.url, self.storage.master_token) as client:
            if not any(bucket == table.split("\n")[0] for table in self.sent):
                with suppress(Exception):
                    client.create_bucket("in", self.settings.topic_prefix)
            client.create_table(bucket, name, ["value", "offset"], [])
            token = client.create_token(name, {bucket: "write"})
        columns = (Column("value", ColumnType.BODY), Column("offset", ColumnType.ID))
        mapping = Mapping(f"{bucket}.{name}", columns, incremental)
        revision = Revision(1, mapping, token.id, cipher.encrypt(token.token), 0)
        export = Export(f"uid-{name}", "r-uid", "1234", "r", name, name, conditions, 1, (), (revision,), 0)
        await self.put_export(export)
        self.sent[name], self.failed[name] = [], []
        return export

    async def put_export(self, export: Export) -> None:
        """Make this its definition in the control log."""
        names, key = Names(self.settings.topic_prefix), control_key("export", f"1234/r/{export.export_id}")
        await self.producer.send(names.control, control_codec.encode(export), key)

    async def refresh_token(self, export: Export) -> Export:
        """Another token for its revision; the one before is dead."""
        (revision,) = export.revisions
        with StorageClient(self.storage.url, self.storage.master_token) as client:
            token = client.refresh_token(revision.token_id).token
        encrypted = Cipher(self.settings.encryption_key).encrypt(token)
        refreshed = replace(export, revisions=(replace(revision, token=encrypted),))
        await self.put_export(refreshed)
        return refreshed

    def reports(self) -> list[Retirement]:
        """What the sinks told control."""
        names = Names(self.settings.topic_prefix)
        return [
            load_draft(Retirement, command_codec.decode(message.value() or b"").payload)
            for partition in range(self.settings.command_partitions)
            for message in read_to_end(self.settings, names.commands, partition)
        ]

    def envelope(
        self, export: Export, base: int, count: int, *, failures: int = 0, partition: int = 0, repeat: bool = False
    ) -> Rows:
        """Rows for the source offsets from `base` on, then failures; counted as sent unless it is a repeat."""
        offsets = list(range(base, base + count))
        cells = [f'{export.export_id} {partition} {offset} "q" \n end' for offset in offsets]
        csv = "".join('"{}","{}"\n'.format(cell.replace('"', '""'), o) for cell, o in zip(cells, offsets, strict=True))
        failed = [
            FailedEvent(base + count + i, Reason.TEMPLATE_ERROR, "value", "no", "topic", 1, "id", "", [], b"raw")
            for i in range(failures)
        ]
        if not repeat:
            self.sent[export.export_id] += cells
            self.failed[export.export_id] += [event.offset for event in failed]
        source = Source("topic", partition, LIVE_LANE)
        end = base + count + failures
        runs = to_runs(base, offsets)
        return Rows(export.uid, 1, source, base, end, runs, count, csv.encode(), failed, 0)

    async def send(self, *envelopes: Rows) -> None:
        topic = Names(self.settings.topic_prefix).rows
        for rows in envelopes:
            await self.producer.send(topic, rows_codec.encode(rows), rows.export_uid, partition=1)

    def start_sink(self, *before: str, port: int | None = None) -> Running:
        """A sink process; its log is below the test's folder. It need not wait for the sessions of killed ones.

        `before`: a command that starts it, such as prlimit.
        """
        if self.sinks and all(process.poll() is not None for process in self.sinks):
            expel_members(self.settings, Names(self.settings.topic_prefix).group("sink"))
        variables = {f"STREAMS_{name.upper()}": str(value) for name, value in self.environment.items()}
        self.ports.append(port or free_port())
        variables["STREAMS_SINK_PORT"] = str(self.ports[-1])
        environment = {**os.environ, **variables}
        process: Running
        with (self.tmp_path / f"sink-{len(self.sinks)}.log").open("ab") as log:
            if before or "sink_fault_point" in self.environment:  # which is read by an import
                process = subprocess.Popen(
                    [*before, sys.executable, "-c", _MAIN], env=environment, stdout=log, stderr=log
                )
            else:
                process = start(_MAIN, imports=_IMPORTS, environment=environment, stdout=log, stderr=log)
        self.sinks.append(process)
        return process

    def stop_all(self) -> None:
        for process in self.sinks:
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE_SECONDS)

    def rows(self, export: Export) -> list[str]:
        """The table's values, by SQL."""
        bucket = f"in.c-{self.settings.topic_prefix}"
        return [str(value) for (value,) in self.storage.sql(f'select "value" from "{bucket}"."{export.export_id}"')]

    def dead_letters(self, export: Export) -> list[DeadLetter]:
        names = Names(self.settings.topic_prefix)
        letters = [
            dead_letter_codec.decode(message.value() or b"")
            for partition in range(self.settings.dead_letter_partitions)
            for message in read_to_end(self.settings, names.dead_letters, partition)
        ]
        return [letter for letter in letters if letter.export_uid == export.uid]

    def batches(self, export: Export) -> list[BatchRecord]:
        """The ledger's last record of each of the export's batches."""
        names = Names(self.settings.topic_prefix)
        found: dict[bytes, BatchRecord] = {}
        for message in read_to_end(self.settings, names.ledger, export.rows_partition):
            key, value = message.key() or b"", message.value()
            if isinstance(key, bytes) and key.startswith(export.uid.encode() + b"/") and value is not None:
                found[key] = batch_codec.decode(value)
        return list(found.values())

    def state(self, export: Export) -> ExportState | None:
        """The ledger's last snapshot of the export."""
        names = Names(self.settings.topic_prefix)
        found = None
        for message in read_to_end(self.settings, names.ledger, export.rows_partition):
            if message.key() == export.uid.encode() and (value := message.value()) is not None:
                found = state_codec.decode(value)
        return found

    def committed(self, partition: int) -> int:
        """The rows offset that the sinks' group has committed."""
        names = Names(self.settings.topic_prefix)
        return committed_offsets(self.settings, names.group("sink")).get((names.rows, partition), 0)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; fail with the sinks' last words when it does not come."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not await asyncio.to_thread(condition):
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-1500:] for path in sorted(self.tmp_path.glob("sink-*.log")))
                pytest.fail(f"not within {DEADLINE_SECONDS} s: {what}\n{logs}")
            await asyncio.sleep(0.1)

    async def until_ready(self) -> None:
        """Wait until the sink that was started last serves its partitions."""
        url = f"http://127.0.0.1:{self.ports[-1]}/ready"

        def is_ready() -> bool:
            try:
                return httpx.get(url, timeout=DEADLINE_SECONDS).status_code == 200
            except httpx.TransportError:
                return False

        await self.until(is_ready, "a ready sink")

    async def until_arrived(self, export: Export) -> None:
        """Wait until every row sent is in the table, every failure a dead letter, and nothing twice."""
        wanted = sorted(self.sent[export.export_id])
        await self.until(lambda: len(self.rows(export)) >= len(wanted), f"{len(wanted)} rows of {export.export_id}")
        letters = sorted(self.failed[export.export_id])
        await self.until(lambda: len(self.dead_letters(export)) >= len(letters), f"{len(letters)} dead letters")
        assert sorted(self.rows(export)) == wanted
        assert sorted(letter.event.offset for letter in self.dead_letters(export)) == letters
