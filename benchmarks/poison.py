"""What one bad export costs the others: events per second through the mapping pool, with two children.

    python benchmarks/poison.py [--seconds 45] [--rounds 1] [--only WORDS]

Two receivers of 4 partitions, each read as the mapper does it: at most 4 chunks of a partition under way, done in
order, and each export's rows taken as they come. `sibling` is a good export beside the bad one and a second good one;
`other` is one of two good exports of another receiver. The percentage is of what a pool in which all exports
are good does at the same time on the same cores, so that a busy machine disturbs both. The time in which a pool learns
that an export is bad is in the first figure of each; the second is of the last two thirds of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import statistics
import time
from collections import Counter

from app.mapping.children import MappingPool
from app.model.event import EventBatch, Segment
from app.model.receiver import Column, ColumnType, Mapping

CHILDREN = 2
PARTITIONS = 4
IN_FLIGHT = 4
CHUNK_EVENTS = 5000

GOOD = 'local event = Body("event"); Body("user.email") + "-" + event'
FOREVER = "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)"
MEMORY = "std.range(0, 1e9)"
LARGE = "std.repeat('x', 100 * 1000 * 1000)"
RECURSION = "local f(x) = f(x + 1); f(0)"


def sometimes(poison: str) -> str:
    """A template that is bad for one event in a hundred."""
    return f'if Body("user.id") % 100 == 37 then ({poison}) else Body("event")'


TEMPLATES = {
    "loops for every event": FOREVER,
    "loops for one event in a hundred": sometimes(FOREVER),
    "takes all memory, every event": MEMORY,
    "takes all memory, one event in a hundred": sometimes(MEMORY),
    "makes 100 MB, every event": LARGE,
    "makes 100 MB, one event in a hundred": sometimes(LARGE),
    "infinite recursion, every event": RECURSION,
    "infinite recursion, one event in a hundred": sometimes(RECURSION),
}


def mapping(template: str) -> Mapping:
    columns = [Column(kind, ColumnType(kind)) for kind in ("id", "datetime", "ip", "body")]
    return Mapping("in.c-bench.table", (*columns, Column("t", ColumnType.TEMPLATE, template=template)))


def chunk(first: int) -> EventBatch:
    """Events with bodies of about 120 bytes."""
    numbers = range(first, first + CHUNK_EVENTS)
    text = '{"user":{"id":%d,"email":"someone%d@example.com"},"event":"page_view","pad":"xxxxxxxxxxxxxxxxxxxxxxxxx"}'
    return EventBatch(
        offsets=list(numbers),
        times_ms=[1_700_000_000_000 + number // 20 for number in numbers],
        ids=[f"018bcfe5-6800-7{number % 4096:03x}-8000-{number:012x}" for number in numbers],
        ips=[f"192.0.2.{number % 250}" for number in numbers],
        bodies=[(text % (number, number)).encode() for number in numbers],
        headers=[[("Content-Type", b"application/json")] for _ in numbers],
    )


async def lane(pool: MappingPool, exports: list[tuple[str, Mapping]], batch: EventBatch, done: Counter[str]) -> None:
    """One partition: the same chunk again and again, `IN_FLIGHT` of them under way, done in order; counts events of the
    first export.
    """

    def count(answer: asyncio.Future[list[Segment]]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            done[exports[0][0]] += len(batch)

    under_way: list[list[asyncio.Future[list[Segment]]]] = []
    while True:
        while len(under_way) < IN_FLIGHT:
            answers = pool.map_each(exports, batch)
            answers[0].add_done_callback(count)
            under_way.append(answers)
        await asyncio.gather(*map(asyncio.shield, under_way.pop(0)))


async def rates(template: str, seconds: float) -> dict[str, tuple[float, float]]:
    """Events per second of either receiver, when one export of the first has this template: of all the time, and of the
    last two thirds of it.
    """
    good = mapping(GOOD)
    receivers = [
        [("sibling/1", good), ("suspect/1", mapping(template)), ("second/1", good)],
        [("other/1", good), ("another/1", good)],
    ]
    batches = [chunk(number * CHUNK_EVENTS) for number in range(PARTITIONS)]
    done: Counter[str] = Counter()
    pool = MappingPool(CHILDREN)
    await pool.start()
    tasks = [asyncio.create_task(lane(pool, exports, batch, done)) for exports in receivers for batch in batches]
    begun = time.perf_counter()
    await asyncio.sleep(seconds / 3)
    middle, early = time.perf_counter(), dict(done)
    await asyncio.sleep(seconds * 2 / 3)
    end, late = time.perf_counter(), dict(done)
    for task in tasks:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await pool.close()
    keys = {name: f"{name}/1" for name in ("sibling", "other")}
    return {
        name: (late.get(key, 0) / (end - begun), (late.get(key, 0) - early.get(key, 0)) / (end - middle))
        for name, key in keys.items()
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    logging.disable()
    print(
        f"{os.cpu_count()} cores, {CHILDREN} children, {arguments.seconds:g} s a round; medians of {arguments.rounds}"
    )
    for name, template in TEMPLATES.items():
        if arguments.only not in name:
            continue
        rounds = [
            await asyncio.gather(rates(GOOD, arguments.seconds), rates(template, arguments.seconds))
            for _ in range(arguments.rounds)
        ]
        cells = []
        for receiver in ("sibling", "other"):
            rate = statistics.median(bad[receiver][1] for _, bad in rounds)
            shares = [
                statistics.median(bad[receiver][part] / max(good[receiver][part], 1) for good, bad in rounds)
                for part in (0, 1)
            ]
            cells.append(f"{receiver} {rate:8,.0f}/s {shares[0]:5.0%} {shares[1]:5.0%}")
        print(f"{name:45} {'  '.join(cells)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
