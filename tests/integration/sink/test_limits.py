"""A sink, or its Storage, that runs out of memory, files or disk: it says of what, and nothing is lost or doubled."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from small_disk import small_disk

from app.local.storage import running
from app.model.conditions import MIB, Conditions
from app.model.receiver import LIVE_LANE, Export
from app.model.rows import Rows, Source, to_runs

pytestmark = pytest.mark.long
HUNDRED = Conditions(count=100, size_bytes=50 * MIB, time_seconds=3600)
ENVELOPES = 140


def log_of(bench: Any) -> str:
    return "".join(path.read_text() for path in sorted(bench.tmp_path.glob("sink-*.log")))


def megabyte(bench: Any, export: Export, number: int) -> Rows:
    cell = f"{number:09d}" + "x" * 1_000_000
    bench.sent[export.export_id].append(cell)
    csv = f'"{cell}","{number}"\n'.encode()
    source = Source("topic", 0, LIVE_LANE)
    return Rows(export.uid, 1, source, number, number + 1, to_runs(number, [number]), 1, csv, [], 0)


async def test_sink_out_of_memory_says_so_and_its_heir_goes_on(bench: Any) -> None:
    export = await bench.export("large", Conditions(ENVELOPES, 180 * MIB, 3600))
    bench.environment["staging_span_seconds"] = 0.3
    sink = bench.start_sink()
    await bench.send(megabyte(bench, export, 0))
    await bench.until(lambda: bench.state(export) is not None, "a sink that runs")
    bench.storage.fault("status", method="PUT", path="/kbc-", status=503, times=None)
    resource.prlimit(sink.pid, resource.RLIMIT_AS, (mapped_bytes(sink.pid) + 8 * MIB,) * 2)
    for number in range(1, ENVELOPES):
        await bench.send(megabyte(bench, export, number))

    await bench.until(lambda: sink.poll() is not None, "a sink that ends")
    assert sink.returncode != 0
    assert "out of memory: give the process more" in log_of(bench)
    bench.storage.clear_faults()
    bench.start_sink()

    await bench.until_arrived(export)


def mapped_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmSize:")[2].split()[0]) * 1024


async def test_sink_with_too_few_files_says_so_and_goes_on_when_it_has_more(bench: Any) -> None:
    export = await bench.export("files", HUNDRED)
    sink = bench.start_sink()
    await bench.send(bench.envelope(export, 0, 100))
    await bench.until_arrived(export)
    limits = resource.prlimit(sink.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(sink.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    await bench.send(bench.envelope(export, 100, 100))
    await bench.until(lambda: "Too many open files" in log_of(bench), "words about files")
    assert sink.poll() is None

    resource.prlimit(sink.pid, resource.RLIMIT_NOFILE, limits)

    await bench.until_arrived(export)


async def test_storage_with_a_full_disk_takes_the_rows_when_it_has_room(bench: Any, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk, running(disk.path / "storage") as storage:
        bench.storage = storage
        bench.environment |= {"storage_api_host": storage.url, "storage_s3_endpoint": storage.s3_url}
        export = await bench.export("full", HUNDRED)
        bench.start_sink()
        await bench.send(bench.envelope(export, 0, 100))
        await bench.until_arrived(export)

        disk.fill(storage.process.pid, 0)
        await bench.send(bench.envelope(export, 100, 100))
        await bench.until(lambda: "cannot be staged" in log_of(bench), "a sink that tries again")
        assert "full" in log_of(bench) or not disk.mounted
        disk.free(storage.process.pid)

        await bench.until_arrived(export)
        bench.stop_all()
