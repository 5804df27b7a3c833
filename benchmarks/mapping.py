"""Mapping: microseconds of CPU an event, in process and through one child, beside what parsing and writing alone cost.

    python benchmarks/mapping.py

CPU time, because a busy machine disturbs it less than the clock; a child alone on a core does 1,000,000 / (its µs)
events a second, which stands beside it, and `by the clock` is what was seen. The floor is orjson for the body and
pyarrow for the CSV of `id, datetime, ip, body`, without anything of ours. A template "by plan" is recognised and run
without the engine; "by engine" is the same work written so that it is not.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import orjson
import pyarrow as pa
from pyarrow import csv

from app.mapping.children import MappingPool
from app.mapping.rows import map_batch
from app.model.event import EventBatch
from app.model.receiver import Column, ColumnType, Mapping

ROUNDS = 7
CHUNKS = 5
CHUNK_EVENTS = 2000
IN_FLIGHT = 3
"""Chunks given to the pool at once, as the lanes of several partitions do."""

PLAIN = ("id", "datetime", "ip", "body")
PLAN = 'Body("user.email") + "-" + Body("event")'
ENGINE = 'local event = Body("event"); Body("user.email") + "-" + event'
FAILING = 'if Body("user.id") % 33 == 0 then Body("nope") else Body("event")'
OBJECT = '{id: Body("user.id"), tags: [t + "!" for t in ["a", "b", "c"]]}'


def mapping(*types: str, **templates: str) -> Mapping:
    columns = [Column(kind, ColumnType(kind)) for kind in types]
    columns += [Column(name, ColumnType.TEMPLATE, template=source) for name, source in templates.items()]
    return Mapping("in.c-bench.table", tuple(columns))


def paths(*paths: str) -> Mapping:
    columns = mapping(*PLAIN).columns + tuple(Column(path, ColumnType.PATH, path=path) for path in paths)
    return Mapping("in.c-bench.table", columns)


MAPPINGS = {
    "id, datetime, ip, body": mapping(*PLAIN),
    "... and two joined lookups, by plan": mapping(*PLAIN, t=PLAN),
    "... and two joined lookups, by engine": mapping(*PLAIN, t=ENGINE),
    "... and one that fails for 3 %, by engine": mapping(*PLAIN, t=FAILING),
    "... and two paths, a text and an integer": paths("event", "user.id"),
    "... and a path to an object": paths("user"),
    "... and a filter, by engine": replace(mapping(*PLAIN), filter='Body("event") == "page_view"'),
    "... and an object with a comprehension": mapping(*PLAIN, t=OBJECT),
    "id, datetime, body, two templates, by plan": mapping("id", "datetime", "body", a='Body("user.id")', b=PLAN),
    "id, datetime, body, two templates, by engine": mapping(
        "id", "datetime", "body", a='local x = Body("user.id"); x', b=ENGINE
    ),
}


CELLS = {
    'plan: Body("event")': Column("", ColumnType.TEMPLATE, template='Body("event")'),
    'plan: Body("user.id")': Column("", ColumnType.TEMPLATE, template='Body("user.id")'),
    "plan: two joined lookups": Column("", ColumnType.TEMPLATE, template=PLAN),
    'plan: Header("Content-Type")': Column("", ColumnType.TEMPLATE, template='Header("Content-Type")'),
    "plan: Now()": Column("", ColumnType.TEMPLATE, template="Now()"),
    "plan: an object of two lookups": Column(
        "", ColumnType.TEMPLATE, template='{id: Body("user.id"), event: Body("event")}'
    ),
    "path to a text": Column("", ColumnType.PATH, path="event"),
    "path to an integer": Column("", ColumnType.PATH, path="user.id"),
    "engine: two joined lookups": Column("", ColumnType.TEMPLATE, template=ENGINE),
    "engine: an object with a comprehension": Column("", ColumnType.TEMPLATE, template=OBJECT),
}
MORE_CELLS = 4


def cells(column: Column, count: int) -> Mapping:
    """A lookup that has the body parsed, and so many cells of this kind."""
    parsed = Column("parsed", ColumnType.TEMPLATE, template='Body("pad")')
    return Mapping("in.c-bench.table", (parsed, *(replace(column, name=f"c{number}") for number in range(count))))


def chunk(body_bytes: int, first: int) -> EventBatch:
    """A chunk of different events with bodies of this size and the headers of an HTTP sender."""
    numbers = range(first, first + CHUNK_EVENTS)
    bodies = []
    for number in numbers:
        fields = {"user": {"id": number, "email": f"someone{number}@example.com"}, "event": "page_view", "pad": ""}
        fields["pad"] = "x" * (body_bytes - len(orjson.dumps(fields)))
        bodies.append(orjson.dumps(fields))
    return EventBatch(
        offsets=list(numbers),
        times_ms=[1_700_000_000_000 + number // 20 for number in numbers],
        ids=[f"018bcfe5-6800-7{number % 4096:03x}-8000-{number:012x}" for number in numbers],
        ips=[f"192.0.2.{number % 250}" for number in numbers],
        bodies=bodies,
        headers=[[("Content-Type", bytearray(b"application/json").decode().encode())] for _ in numbers],
    )


def floor(batch: EventBatch) -> bytes:
    """The least that parsing and writing can cost."""
    for body in batch.bodies:
        orjson.loads(body)
    times = ["2023-11-14T22:13:20.000Z"] * len(batch)
    table = pa.Table.from_arrays(
        [
            pa.array(batch.ids, pa.string()),
            pa.array(times, pa.string()),
            pa.array(batch.ips, pa.string()),
            pa.array(batch.bodies, pa.binary()).cast(pa.string()),
        ],
        names=["id", "datetime", "ip", "body"],
    )
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False, quoting_style="all_valid"))
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _median(seconds: list[float]) -> float:
    """Microseconds an event; the first round only warms up."""
    return statistics.median(seconds[1:]) / (CHUNKS * CHUNK_EVENTS) * 1e6


def in_process(run: Callable[[EventBatch], object], chunks: list[EventBatch]) -> float:
    """CPU microseconds an event here."""
    seconds = []
    for _ in range(ROUNDS + 1):
        begun = time.process_time()
        for batch in chunks:
            run(batch)
        seconds.append(time.process_time() - begun)
    return _median(seconds)


async def through_child(wanted: Mapping, chunks: list[EventBatch]) -> tuple[float, float, float]:
    """Microseconds an event: the child's CPU, ours, and by the clock."""
    pool = MappingPool(1, budget_seconds=60)
    await pool.start()
    (pid,) = pool.pids
    clocks: list[Callable[[], float]] = [
        partial(time.clock_gettime, (~pid << 3) | 2),  # the CPU clock of that process
        time.process_time,
        time.perf_counter,
    ]
    seconds: tuple[list[float], list[float], list[float]] = ([], [], [])

    async def lane(waiting: Iterator[EventBatch]) -> None:
        for batch in waiting:
            await pool.map([("bench/1", wanted)], batch)

    for _ in range(ROUNDS + 1):
        begun = [clock() for clock in clocks]
        waiting = iter(chunks)
        await asyncio.gather(*(lane(waiting) for _ in range(IN_FLIGHT)))
        for taken, clock, start in zip(seconds, clocks, begun, strict=True):
            taken.append(clock() - start)
    assert pool.pids == [pid]
    await pool.close()
    child, own, seen = map(_median, seconds)
    return child, own, seen


async def main() -> None:
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, medians of {ROUNDS} rounds"
    )
    for body_bytes in (120, 1000):
        chunks = [chunk(body_bytes, number * CHUNK_EVENTS) for number in range(CHUNKS)]
        print(f"\n{body_bytes:,}-byte bodies, {'in process':>28} {'one child':>19} {'parent':>10} {'by the clock':>13}")
        print(f"{'floor: orjson and pyarrow':45} {in_process(floor, chunks):6.2f} µs")
        for name, wanted in MAPPINGS.items():
            here = in_process(partial(map_batch, wanted), chunks)
            child, own, seen = await through_child(wanted, chunks)
            print(f"{name:45} {here:6.2f} µs {child:6.2f} µs {1e6 / child:8,.0f}/s {own:7.2f} µs {seen:10.2f} µs")
        print("one more cell, its CSV included, the body being parsed already")
        for name, column in CELLS.items():
            base = in_process(partial(map_batch, cells(column, 0)), chunks)
            more = in_process(partial(map_batch, cells(column, MORE_CELLS)), chunks)
            print(f"{name:45} {(more - base) / MORE_CELLS:6.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
