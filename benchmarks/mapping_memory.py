"""Memory of one mapping child that maps a million events of 2 KB.

    python benchmarks/mapping_memory.py [--events 1000000] [--each]

Resident memory after the first 100,000 events, after half of them and after all; `peak` is the most that any child had
at any time. Each event is mapped for exports of all kinds: columns without templates, a direct plan, the engine, the
engine with a template that fails for 3 %, an object with a comprehension; with --each also for one kind at a time. A
child that holds too much ends after its answer and another takes its place: `children` counts them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

from mapping import ENGINE, FAILING, OBJECT, PLAIN, PLAN, chunk, mapping

from app.mapping.children import MappingPool
from app.model.receiver import Mapping

BODY_BYTES = 2000
CHUNKS = 10
"""Different chunks, of 2,000 events each, that are given again and again."""

EXPORTS = [
    ("plain/1", mapping(*PLAIN)),
    ("plan/1", mapping("id", "body", t=PLAN)),
    ("engine/1", mapping("id", "body", t=ENGINE)),
    ("failing/1", mapping("id", "body", t=FAILING)),
    ("object/1", mapping("id", "body", t=OBJECT)),
]


def resident_mb(pid: int, field: str) -> float:
    """VmRSS or VmHWM (the peak) of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


async def measure(exports: list[tuple[str, Mapping]], events: int) -> None:
    chunks = [chunk(BODY_BYTES, number * 2000) for number in range(CHUNKS)]
    pool = MappingPool(1, budget_seconds=60)
    await pool.start()
    marks = {events // 10: "", events // 2: "", events: ""}
    seen: set[int] = set()
    mapped, peak, begun = 0, 0.0, time.perf_counter()
    while mapped < events:
        batch = chunks[mapped // 2000 % CHUNKS]
        await pool.map(exports, batch)
        mapped += len(batch)
        (pid,) = pool.pids
        seen.add(pid)
        peak = max(peak, resident_mb(pid, "VmHWM"))
        if mapped in marks:
            marks[mapped] = f"{resident_mb(pid, 'VmRSS'):6.1f}"
    await pool.close()
    name = exports[0][0].partition("/")[0] if len(exports) == 1 else "all together"
    figures = "  ".join(f"{count:>9,}: {value} MB" for count, value in marks.items())
    seconds = time.perf_counter() - begun
    print(f"{name:13} {figures}  peak {peak:6.1f} MB  children {len(seen)}  {events / seconds:9,.0f}/s", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--each", action="store_true")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {arguments.events:,} events of {BODY_BYTES:,} bytes, one child")
    await measure(EXPORTS, arguments.events)
    for export in EXPORTS if arguments.each else ():
        await measure([export], arguments.events)


if __name__ == "__main__":
    asyncio.run(main())
