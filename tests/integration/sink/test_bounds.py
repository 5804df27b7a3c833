"""A sink that cannot get rid of its rows holds a bounded number of bytes, however far it is behind."""

from __future__ import annotations

import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from app.model.conditions import MIB, Conditions
from app.model.receiver import LIVE_LANE, Export
from app.model.rows import Rows, Source, to_runs

ENVELOPES, ROWS, CELL_BYTES = 160, 4, 250_000
BOUND_MIB = 4
WIDE = Conditions(count=ENVELOPES * ROWS, size_bytes=180 * MIB, time_seconds=3600)


def large_envelope(bench: Any, export: Export, number: int) -> Rows:
    """1 MB of rows that compress to a tenth."""
    offsets = list(range(number * ROWS, (number + 1) * ROWS))
    cells = [f"{offset:09d}" + os.urandom(CELL_BYTES // 10).hex() + "x" * (CELL_BYTES * 4 // 5) for offset in offsets]
    bench.sent[export.export_id] += cells
    csv = "".join(f'"{cell}","{offset}"\n' for cell, offset in zip(cells, offsets, strict=True)).encode()
    source = Source("topic", 0, LIVE_LANE)
    return Rows(export.uid, 1, source, offsets[0], offsets[-1] + 1, to_runs(offsets[0], offsets), ROWS, csv, [], 0)


def metric(bench: Any, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{bench.ports[-1]}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def memory_mib(pid: int, name: str) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")[2].split()[0]) / 1024


@pytest.mark.long
@pytest.mark.parametrize("park_after_seconds", [3600, 1], ids=["waits", "parks"])
async def test_memory_does_not_grow_with_lag_while_storage_is_away(bench: Any, park_after_seconds: float) -> None:
    bench.environment |= {"sink_memory_bytes": BOUND_MIB * MIB, "park_after_seconds": park_after_seconds}
    bench.environment |= {"park_seconds": 1, "park_cap_seconds": 2}
    warm, export = await bench.export("warm", Conditions(1, MIB, 3600)), await bench.export("behind", WIDE)
    sink = bench.start_sink()
    await bench.send(bench.envelope(warm, 0, 1))
    await bench.until_arrived(warm)
    at_rest = memory_mib(sink.pid, "VmRSS")

    bench.storage.fault("status", method="PUT", path="/kbc-", status=503, times=None)
    for number in range(ENVELOPES):
        await bench.send(large_envelope(bench, export, number))
    await bench.until(lambda: metric(bench, "streams_sink_storage_retries_total") > 3, "uploads that fail")
    held = metric(bench, "streams_sink_held_bytes")
    bench.storage.clear_faults()
    await bench.until_arrived(export)

    assert held < (BOUND_MIB + 6) * MIB, "the bound and the chunk that passed it"
    grown = memory_mib(sink.pid, "VmHWM") - at_rest
    assert grown < 100, f"{ENVELOPES} MB came; what is fetched, queued and compressed is not in the bound"
