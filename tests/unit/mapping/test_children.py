"""The pool with real child processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.mapping import children
from app.mapping.child_process import ChildGone, ChildProcess
from app.mapping.children import MappingPool, PoolClosed
from app.mapping.rows import map_batch
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Mapping

MakeBatch = Callable[..., EventBatch]
MakeMapping = Callable[..., Mapping]
Outcome = Callable[[Sequence[Segment]], Any]

FOREVER = "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)"
DEADLINE_SECONDS = 60


@asynccontextmanager
async def pool_of(children: int = 1, **bounds: float | None) -> AsyncIterator[MappingPool]:
    pool = MappingPool(children, **bounds)  # type: ignore[arg-type]  # memory_mib is an int
    await pool.start()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield pool
    finally:
        await pool.close()


@pytest.fixture
async def pool() -> AsyncIterator[MappingPool]:
    async with pool_of(event_seconds=0.3) as pool:
        yield pool


def until(condition: Callable[[], bool]) -> None:
    """Wait in a thread for something that no event tells."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def process_fields(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def is_gone(pid: int) -> bool:
    return process_fields(pid)[:1] in ([], ["Z"])


def cpu_ticks(pid: int) -> int:
    return int(process_fields(pid)[11])


async def test_children_give_what_mapping_here_gives(
    pool: MappingPool, make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    batch = make_batch(*[b'{"a":%d}' % n for n in range(50)], b"{", b"\xff\0", headers=[("X", b"\xff"), ("x", b"2")])
    mappings = [make_mapping("id", "datetime", "ip", "body", "headers"), make_mapping(a="Body('a')", b="[Body()]")]

    segments = await pool.map([(str(number), mapping) for number, mapping in enumerate(mappings)], batch)

    assert segments == [map_batch(mapping, batch) for mapping in mappings]


async def test_definition_is_kept_by_its_key_and_the_batch_may_be_any_size(
    pool: MappingPool, make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    mapping = make_mapping("body")
    large = make_batch(*[b"x" * 1_000_000] * 20)

    for batch in (make_batch(b"1"), large, make_batch(b"2")):
        assert await pool.map([("uid/1", mapping)], batch) == [map_batch(mapping, batch)]


async def test_without_rows_only_failures_come_back(
    pool: MappingPool, make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    batch = make_batch(b'{"a":1}', b"{}")

    (segments,) = await pool.map([("uid/1", make_mapping(cell="Body('a')"))], batch, rows=False)

    assert [(segment.csv, segment.offsets) for segment in segments] == [(b"", [0])]
    assert [failure.offset for segment in segments for failure in segment.failures] == [1]


async def test_nothing_to_map(pool: MappingPool, make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    assert await pool.map([("uid/1", make_mapping("id"))], make_batch()) == [[]]
    assert await pool.map([], make_batch(b"1")) == []


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (FOREVER, Reason.TEMPLATE_TIMEOUT),
        ("std.foldl(function(a, x) a + a, std.range(1, 60), 'xxxxxxxx')", Reason.TEMPLATE_MEMORY),
        ("std.length(std.makeArray(1e8, function(i) i))", Reason.TEMPLATE_MEMORY),
        ("local f(x) = f(x + 1); f(0)", Reason.TEMPLATE_ERROR),
        ("std.repeat('x', 5 * 1000 * 1000)", Reason.ROW_TOO_LARGE),
    ],
    ids=["exponential time", "exponential text", "a large array", "infinite recursion", "a large cell"],
)
async def test_guilty_event_is_found_and_all_others_are_mapped(
    poison: str, reason: Reason, make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    batch = make_batch(*[b'{"n":%d}' % n for n in range(300)])
    poisoned = make_mapping(cell=f"if Body('n') == 123 then ({poison}) else Body('n')")
    sibling = make_mapping("id", "body")

    async with pool_of(event_seconds=1, memory_mib=400) as pool:
        first, segments, last = await pool.map([("a/1", sibling), ("b/1", poisoned), ("c/1", sibling)], batch)

    rows, failures = outcome(segments)
    assert {offset: failure[0] for offset, failure in failures.items()} == {123: reason}
    assert rows == {n: b'"%d"\n' % n for n in range(300) if n != 123}
    assert first == last == map_batch(sibling, batch)


async def test_template_that_never_ends_uses_up_its_own_budget_alone(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    batch = make_batch(*[b"{}"] * 100)
    sibling = make_mapping("id")

    async with pool_of(event_seconds=0.2, budget_seconds=0.8) as pool:
        poisoned, mapped = await pool.map([("a/1", make_mapping(cell=FOREVER)), ("b/1", sibling)], batch)

    rows, failures = outcome(poisoned)
    assert rows == {}
    assert list(failures) == batch.offsets
    assert {reason for reason, _, _ in failures.values()} == {Reason.TEMPLATE_TIMEOUT}
    assert mapped == map_batch(sibling, batch)


async def test_sibling_has_its_answer_while_a_template_that_never_ends_is_still_tried(
    make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    exports = [("bad", make_mapping(cell=FOREVER)), ("good", make_mapping("id"))]
    async with pool_of(2, event_seconds=0.3, budget_seconds=20) as pool:
        bad, good = pool.map_each(exports, make_batch(*[b'{"a":1}'] * 20))

        await good
        early = bad.done()
        await pool.close()

        assert not early
        with pytest.raises(PoolClosed):
            await bad


async def test_slow_template_keeps_what_it_mapped_in_time(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    slow = "std.length(std.filter(function(x) x > 0, std.range(1, 20000)))"
    batch = make_batch(*[b"{}"] * 1000)

    async with pool_of(event_seconds=5, budget_seconds=0.5) as pool:
        (pid,) = pool.pids
        (segments,) = await pool.map([("a/1", make_mapping(cell=slow))], batch)
        assert pool.pids == [pid]

    rows, failures = outcome(segments)
    assert 0 < len(rows) < 1000
    assert sorted([*rows, *failures]) == batch.offsets
    assert {reason for reason, _, _ in failures.values()} == {Reason.TEMPLATE_TIMEOUT}


async def test_export_that_always_loops_rests_and_takes_no_child_down_meanwhile(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    batch = make_batch(*[b"{}"] * 50)
    exports = [("a/1", make_mapping(cell=FOREVER)), ("b/1", make_mapping("id"))]

    async with pool_of(event_seconds=0.2, account_seconds=0.9, failing_share=0.001) as pool:
        await pool.map(exports, batch)
        assert "took a mapping child down" in caplog.text
        caplog.clear()
        poisoned, mapped = await pool.map(exports, batch)
        assert "took a mapping child down" not in caplog.text

    rows, failures = outcome(poisoned)
    assert (rows, list(failures)) == ({}, batch.offsets)
    assert {reason for reason, _, _ in failures.values()} == {Reason.EXPORT_RESTING}
    assert "it is tried again in" in failures[0][2]
    assert mapped == map_batch(make_mapping("id"), batch)


async def test_export_that_rested_is_tried_again_and_mapped_when_it_is_well(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    """Also where a whole chunk takes longer than there is in its account, though nothing in it fails."""
    dear = "std.foldl(function(sum, n) sum + n, std.range(1, 3000), 0)"
    export = ("a/1", make_mapping(cell=f"if Body('bad') then ({FOREVER}) else {dear}"))
    good = make_batch(*[b'{"bad":false}'] * 1200)
    rested = False

    async with pool_of(event_seconds=0.2, account_seconds=0.9, failing_share=0.3) as pool:
        await pool.map([export], make_batch(*[b'{"bad":true}'] * 9))
        while True:
            (segments,) = await pool.map([export], good)
            rows, failures = outcome(segments)
            if rows:
                break
            rested = "it is tried again in" in failures[0][2]

    assert rested
    assert (len(rows), failures) == (1200, {})


async def test_failures_that_are_dear_make_an_export_rest_and_say_what_it_failed_with(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    recursion = make_mapping(cell="local f(x) = f(x + 1); f(0)")

    async with pool_of(event_seconds=0.2, account_seconds=0.9, failing_share=0.001) as pool:
        (segments,) = await pool.map([("a/1", recursion)], make_batch(*[b"{}"] * 5000))

    _, failures = outcome(segments)
    assert failures[0][0] == Reason.TEMPLATE_ERROR
    assert failures[4999][0] == Reason.EXPORT_RESTING
    assert "max stack frames" in failures[4999][2]


async def test_without_a_share_each_event_has_its_own_reason(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    export = ("a/1", make_mapping(cell=FOREVER))

    async with pool_of(event_seconds=0.1, failing_share=None) as pool:
        results = [await pool.map([export], make_batch(b"{}")) for _ in range(4)]

    messages = [outcome(segments)[1][0][2] for (segments,) in results]
    assert all("did not come to an end for this event" in message for message in messages)


async def test_events_of_an_export_that_is_stuck_in_another_chunk_are_mapped_after_it(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    export = ("a/1", make_mapping(cell=f"if Body('bad') then ({FOREVER}) else 'fine'"))
    bad, good = b'{"bad":true}', b'{"bad":false}'
    chunks = [make_batch(*[good] * 5, bad, *[good] * 5)] + [make_batch(*[good] * 11)] * 5

    async with pool_of(2, event_seconds=0.5) as pool:
        results = await asyncio.gather(*(pool.map([export], chunk) for chunk in chunks))

    failed = [list(outcome(segments)[1]) for (segments,) in results]
    assert failed == [[5], [], [], [], [], []]


async def test_another_child_takes_the_seat_of_one_that_is_stuck(
    make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    async with pool_of(1, event_seconds=1.5) as pool:
        hung = asyncio.create_task(pool.map([("a/1", make_mapping(cell=FOREVER))], make_batch(b"{}")))
        await asyncio.to_thread(until, lambda: cpu_ticks(pool.pids[0]) > 20)

        await pool.map([("b/1", make_mapping("id"))], make_batch(b"{}"))

        assert not hung.done()
        assert len(pool.pids) == 2
        await hung


async def test_slow_export_leaves_turns_to_others(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    slow = make_mapping(cell="std.length(std.filter(function(x) x > 0, std.range(1, 20000)))")
    async with pool_of(1, event_seconds=1, budget_seconds=60) as pool:
        work = asyncio.create_task(pool.map([("a/1", slow)], make_batch(*[b"{}"] * 20_000)))
        for _ in range(2):
            await pool.map([("b/1", make_mapping("id"))], make_batch(b"{}"))
        assert not work.done()


async def test_child_that_dies_while_idle_is_replaced(
    pool: MappingPool, make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: is_gone(pid))

    mapped = await pool.map([("a/1", make_mapping("id"))], make_batch(b"1"))

    assert mapped[0][0].csv == b'"id-0"\n'
    assert pool.pids != [pid]


async def test_child_killed_at_work_costs_nothing(
    pool: MappingPool, make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    mapping = make_mapping(cell="std.length(std.range(1, 1000)) + Body('n')")
    batch = make_batch(*[b'{"n":%d}' % n for n in range(5000)])
    (pid,) = pool.pids
    work = asyncio.create_task(pool.map([("a/1", mapping)], batch))
    ticks = cpu_ticks(pid)
    await asyncio.to_thread(until, lambda: cpu_ticks(pid) > ticks)
    os.kill(pid, signal.SIGKILL)

    (segments,) = await work

    rows, failures = outcome(segments)
    assert (len(rows), failures) == (5000, {})


async def test_chunks_are_spread_over_children(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    mapping = make_mapping("id", cell="Body('n') + 1")
    batches = [make_batch(*[b'{"n":%d}' % (k * n) for n in range(100)]) for k in range(10)]

    async with pool_of(2) as pool:
        assert len(set(pool.pids)) == 2
        results = await asyncio.gather(*(pool.map([("a/1", mapping)], batch) for batch in batches))

    assert results == [[map_batch(mapping, batch)] for batch in batches]


async def test_hung_child_does_not_hold_the_others(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    async with pool_of(2, event_seconds=30, budget_seconds=60) as pool:
        hung = asyncio.create_task(pool.map([("a/1", make_mapping(cell=FOREVER))], make_batch(b"{}")))
        for _ in range(5):
            await pool.map([("b/1", make_mapping("id"))], make_batch(b"{}"))
        assert not hung.done()
        hung.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hung
        for _ in range(5):
            (segments,) = await pool.map([("b/1", make_mapping("id"))], make_batch(b"{}"))
            assert segments[0].csv == b'"id-0"\n'


async def test_batch_in_line_is_kept_waiting_as_long_as_children_answer(
    make_batch: MakeBatch, make_mapping: MakeMapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pool_of(event_seconds=30, budget_seconds=60) as pool:
        hung = asyncio.create_task(pool.map([("a/1", make_mapping(cell=FOREVER))], make_batch(b"{}")))
        (pid,) = pool.pids
        ticks = cpu_ticks(pid)
        await asyncio.to_thread(until, lambda: cpu_ticks(pid) > ticks)
        waiting = pool.map_each([("b/1", make_mapping("id"))], make_batch(b"{}"), "b")
        for _ in range(3):
            await asyncio.sleep(0)
        moving = pool.keeps_waiting("b"), pool.keeps_waiting("a")
        monkeypatch.setattr(children, "_LINE_SECONDS", 0.0)
        standing = pool.keeps_waiting("b")
        hung.cancel()
        await asyncio.gather(hung, *waiting, return_exceptions=True)
        monkeypatch.undo()
        after = pool.keeps_waiting("b")

    assert (moving, standing, after) == ((True, False), False, False)


async def test_children_end_with_the_pool(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    async with pool_of(2, event_seconds=30, budget_seconds=60) as pool:
        pids = pool.pids
        hung = asyncio.create_task(pool.map([("a/1", make_mapping(cell=FOREVER))], make_batch(b"{}")))
        await pool.map([("b/1", make_mapping("id"))], make_batch(b"{}"))

    with pytest.raises(PoolClosed):
        await hung
    assert all(map(is_gone, pids))
    with pytest.raises(PoolClosed):
        await pool.map([("b/1", make_mapping("id"))], make_batch(b"{}"))


async def test_child_does_not_have_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_ENCRYPTION_KEY", "secret")
    async with pool_of() as pool:
        (pid,) = pool.pids
        environment = await asyncio.to_thread(Path(f"/proc/{pid}/environ").read_bytes)

    assert b"PYTHONPATH=" in environment
    assert b"STREAMS_" not in environment


async def test_child_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")

    pool = MappingPool(1)
    with pytest.raises(ChildGone, match="ended while it started"):
        await pool.start()


async def test_interrupt_from_the_keyboard_is_the_parents_affair(
    make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    # A background job ignores the interrupt, and so would its children anyway.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        async with pool_of() as pool:
            (pid,) = pool.pids
            os.kill(pid, signal.SIGINT)

            await pool.map([("b/1", make_mapping("id"))], make_batch(b"{}"))

            assert pool.pids == [pid]
    finally:
        signal.signal(signal.SIGINT, before)


async def test_killed_child_is_never_given_work_again() -> None:
    child = ChildProcess(memory_mib=256)
    await child.start()
    pid = child.pid

    child.kill()
    await child.start()

    assert child.pid not in (pid, None)
    await child.stop()


async def test_child_that_does_not_run_has_not_computed() -> None:
    child = ChildProcess(memory_mib=256)

    seconds = child.cpu_seconds()

    assert seconds == 0.0
    await child.stop()


async def test_children_end_with_their_parent_even_at_work() -> None:
    program = f"""
import asyncio
from app.mapping.children import MappingPool
from app.model.event import EventBatch
from app.model.receiver import Column, ColumnType, Mapping

async def main():
    pool = MappingPool(1, event_seconds=60, budget_seconds=60)
    await pool.start()
    print(*pool.pids, flush=True)
    mapping = Mapping("in.c-b.t", (Column("x", ColumnType.TEMPLATE, template={FOREVER!r}),))
    await pool.map([("a/1", mapping)], EventBatch([0], [0], [""], [""], [b""], [[]]))

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await asyncio.wait_for(parent.stdout.readline(), DEADLINE_SECONDS))
    ticks = cpu_ticks(child)
    await asyncio.to_thread(until, lambda: cpu_ticks(child) > ticks + 5)

    parent.kill()
    await parent.wait()

    await asyncio.to_thread(until, lambda: is_gone(child))
