"""Templates and bodies that are meant to do harm, through the real pool, beside good exports of the same chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from app.mapping.children import MappingPool
from app.mapping.rows import map_batch
from app.model.event import EventBatch, Reason
from app.model.receiver import Mapping

EVENT_SECONDS = 0.4
DEADLINE_SECONDS = 60
TIMEOUT, MEMORY = Reason.TEMPLATE_TIMEOUT, Reason.TEMPLATE_MEMORY
ERROR, LARGE, BODY = Reason.TEMPLATE_ERROR, Reason.ROW_TOO_LARGE, Reason.BODY_INVALID
DEEP_LIST = "std.foldl(function(a, x) [a], std.range(1, 100000), 1)"
DEEP_BODY = b"[" * 100_000 + b"]" * 100_000
LONG_BODY = b"x," * (1 << 19)


@dataclass(frozen=True)
class Poison:
    """What stands in the template, and the reasons that its events may get: which of two limits is reached first is
    up to the machine.
    """

    template: str
    reasons: set[Reason]
    body: bytes = b"{}"
    long: bool = False


POISONS = {
    "infinite recursion": Poison("local f(x) = f(x + 1); f(0)", {ERROR}),
    "infinite tail recursion": Poison("local f(x) = f(x + 1) tailstrict; f(0)", {ERROR, MEMORY, TIMEOUT}),
    "an object that refers to itself": Poison("local a = { b: self.b }; a.b", {ERROR}),
    "exponential time": Poison("local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)", {TIMEOUT}),
    "a range": Poison("std.range(0, 1e9)", {MEMORY, TIMEOUT}),
    "an array": Poison("std.length(std.makeArray(1e8, function(i) i))", {MEMORY}, long=True),
    "exponential text": Poison("std.foldl(function(a, x) a + a, std.range(1, 60), 'xxxxxxxx')", {MEMORY}),
    "folds in a fold": Poison(
        "std.foldl(function(a, x) std.foldl(function(b, y) b + y, std.range(1, 10000), a), std.range(1, 10000), 0)",
        {TIMEOUT},
        long=True,
    ),
    "100 MB": Poison("std.repeat('x', 100 * 1000 * 1000)", {LARGE, MEMORY, TIMEOUT}),
    "10 GB": Poison("std.repeat('x', 1e10)", {MEMORY}, long=True),
    "100 MB of items": Poison("std.range(1, 20 * 1000 * 1000)", {MEMORY, LARGE, TIMEOUT}, long=True),
    "a join": Poison(
        "std.join(',', std.makeArray(1e7, function(i) 'abcdefghij'))", {MEMORY, LARGE, TIMEOUT}, long=True
    ),
    "a width": Poison("'%1000000000d' % 1", {MEMORY, TIMEOUT}),
    "a width for std.format": Poison("std.format('%1000000000d', 1)", {MEMORY, TIMEOUT}, long=True),
    "deep JSON": Poison(DEEP_LIST, {MEMORY, ERROR}),
    "deep JSON, indented": Poison(f"std.manifestJsonEx({DEEP_LIST}, '  ')", {MEMORY, ERROR}, long=True),
    "deep JSON, parsed": Poison("std.parseJson(std.repeat('[', 100000) + std.repeat(']', 100000))", {ERROR}),
    "a deep body": Poison("Body()", {BODY}, DEEP_BODY),
    "a body that is no JSON": Poison("Body('a')", {BODY}, b"{"),
    "a million parts": Poison("std.split(BodyStr(), ',')", {LARGE}, LONG_BODY),
    "a path of 1 MiB": Poison("Body(std.repeat('a.', 1 << 19))", {ERROR}),
    "a path of indexes": Poison("Body(std.repeat('a[0]', 1 << 18))", {ERROR}, long=True),
    "a header name of 1 MiB": Poison("Header(std.repeat('a', 1 << 20))", {ERROR}),
    "a time format of 1 MiB": Poison("Now(std.repeat('%Y', 1 << 19))", {LARGE, TIMEOUT}, long=True),
    "a default of 2 MiB": Poison("Body('a', std.repeat('x', 1 << 21))", {LARGE}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[MappingPool]:
    # Nothing rests: on a busy machine one poison, tried twice, may cost all that an export may lose.
    pool = MappingPool(1, memory_mib=400, event_seconds=EVENT_SECONDS, failing_share=None)
    await pool.start()
    yield pool
    await pool.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * poison.long) for name, poison in POISONS.items()]
)
async def test_poison_is_a_dead_letter_with_its_reason_and_the_others_are_rows(
    name: str,
    pool: MappingPool,
    make_batch: Callable[..., EventBatch],
    make_mapping: Callable[..., Mapping],
    outcome: Callable[[Sequence[Any]], Any],
) -> None:
    poison = POISONS[name]
    good = [b'{"a":"%d"}' % n for n in range(20)]
    bad = 13
    batch = make_batch(*good[:bad], poison.body, *good[bad + 1 :])
    template = f"if std.startsWith(BodyStr(), '{{\"a\"') then BodyStr() else ({poison.template})"
    sibling = make_mapping("id", "datetime")

    async with asyncio.timeout(DEADLINE_SECONDS):
        first, poisoned, last = await pool.map(
            [("good/1", sibling), (f"{name}/1", make_mapping(cell=template)), ("good/1", sibling)], batch
        )

    rows, failures = outcome(poisoned)
    assert list(failures) == [bad]
    assert failures[bad][0] in poison.reasons
    assert sorted(rows) == [n for n in range(20) if n != bad]
    assert first == last == map_batch(sibling, batch)
