"""Events mapped on trial, by real children."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.api.trials import MAX_SEARCHED_EVENTS, Crowded, Trials, sample_batch
from app.kafka.schemas import Schemas
from app.model.conditions import Conditions
from app.model.event import Reason
from app.model.receiver import Column, ColumnType, Export, Mapping, Revision
from app.model.schema import Schema, SchemaKind
from app.settings import Settings

FOREVER = "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)"
DEADLINE_SECONDS = 60


@asynccontextmanager
async def trials_with(**settings: float | str) -> AsyncIterator[Trials]:
    made = Trials(Settings(_env_file=None, **settings))  # type: ignore[arg-type, call-arg]  # what its fields take
    task = asyncio.create_task(made.tend())
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert made.pids == []


def export(export_id: str, **templates: str) -> Export:
    """With an id column and these template columns."""
    columns = [Column(name, ColumnType.TEMPLATE, template=source) for name, source in templates.items()]
    mapping = Mapping("in.c-b.t", (Column("id", ColumnType.ID), *columns))
    revision = Revision(1, mapping, "token", b"", 0)
    return Export(
        *(f"uid-{export_id}", "uid-receiver", "1", "receiver", export_id, export_id, Conditions(), 0, ()),
        *((revision,), 0),
    )


async def found(trials: Trials, exports: list[Export], *bodies: bytes) -> list[tuple[str, int, list[str | None]]]:
    """Export, event and columns at fault of each misfit."""
    misfits = await trials.misfits(exports, sample_batch(list(bodies), [], ""))
    return [(m.export_id, m.event, [failure.column for failure in m.failures]) for m in misfits]


async def until(trials: Trials, children: int) -> None:
    """So many children run."""
    while len(trials.pids) != children:  # noqa: ASYNC110 - processes set no event
        await asyncio.sleep(0.01)


async def test_misfits_have_all_columns_at_fault_of_each_export_and_event() -> None:
    exports = [
        export("fits", x="Body('a', 1)"),
        export("two", x="Body('a')", y="'constant'", z="Header('X-A')"),
        export("one", x="Body('a')"),
    ]
    async with trials_with() as trials:
        misfits = await found(trials, exports, b'{"a": 1}', b"{}", b"broken")

    assert misfits == [
        ("fits", 2, [None]),
        ("two", 0, ["z"]),
        ("two", 1, ["x", "z"]),
        ("two", 2, [None]),
        ("one", 1, ["x"]),
        ("one", 2, [None]),
    ]


async def test_filtered_event_is_no_misfit_and_the_filters_own_fault_is_told_alone() -> None:
    first = export("e", x="Body('nope')", y="Body('nope')")
    mapping = replace(first.revision.mapping, filter="Body('keep')")
    filtered = replace(first, revisions=(replace(first.revision, mapping=mapping),))
    async with trials_with() as trials:
        misfits = await trials.misfits([filtered], sample_batch([b'{"keep":false}', b'{"keep":true}', b"{}"], [], ""))

    told = [(m.event, [(failure.column, failure.message) for failure in m.failures]) for m in misfits]
    missing = 'path "nope" not found in the body'
    assert told == [(1, [("x", missing), ("y", missing)]), (2, [(None, 'filter: path "keep" not found in the body')])]


async def test_events_are_tried_by_the_engine_of_the_settings() -> None:
    async with trials_with(jsonnet_engine="jsonnet") as trials:
        (misfit,) = await trials.misfits([export("all", x="1 / 0")], sample_batch([b"{}"], [], ""))

    assert misfit.failures[0].message == "division by zero."


async def test_columns_at_fault_are_looked_for_in_some_events_only() -> None:
    count = MAX_SEARCHED_EVENTS + 1
    async with trials_with() as trials:
        misfits = await found(trials, [export("all", x="Body('a')", y="Body('b')")], *[b"{}"] * count)

    assert [columns for _, _, columns in misfits] == [["x", "y"]] * MAX_SEARCHED_EVENTS + [["x"]]


async def test_large_row_is_the_rows_fault_whatever_its_columns_are_worth() -> None:
    large = "std.repeat('x', 1000000)"
    async with trials_with() as trials:
        assert await found(trials, [export("a", x=large, y=large)], b"{}") == [("a", 0, [None])]
        assert await found(trials, [export("b", x="Body('a')", y=f"{large} + {large}")], b"{}") == [("b", 0, ["x"])]


async def test_template_that_does_not_end_is_a_misfit_of_its_own_export() -> None:
    async with trials_with(mapping_event_seconds=0.3) as trials:
        misfits = await trials.misfits(
            [export("loop", x=FOREVER), export("fits", x="1")], sample_batch([b"{}"], [], "")
        )

    assert [(m.export_id, m.failures[0].reason, m.failures[0].column) for m in misfits] == [
        ("loop", Reason.TEMPLATE_TIMEOUT, "x")
    ]


async def test_columns_that_do_not_end_leave_the_one_that_is_known() -> None:
    exports = [export("all", x="Body('a')", y=FOREVER)]
    async with trials_with(mapping_event_seconds=60, mapping_budget_seconds=0.5) as trials:
        assert await found(trials, exports, b"{}") == [("all", 0, ["x"])]
        assert await found(trials, [export("fits", x="1")], b"{}") == []


async def test_mapping_that_takes_too_long_is_given_up_and_harms_no_other() -> None:
    slow = {"mapping_event_seconds": 60, "mapping_budget_seconds": 60}
    async with trials_with(synchronous_seconds=3, **slow) as trials:
        with pytest.raises(TimeoutError):
            await found(trials, [export("loop", x=FOREVER)], b"{}")

        assert await found(trials, [export("fits", x="1")], b"{}") == []


async def test_who_waits_too_long_for_a_child_is_told_to_come_again() -> None:
    slow = export("slow", x="Body('a')", y=FOREVER)
    async with trials_with(synchronous_seconds=1, mapping_event_seconds=60, mapping_budget_seconds=60) as trials:
        first = asyncio.create_task(found(trials, [slow], b"{}"))
        await asyncio.sleep(0)  # it has the child now

        with pytest.raises(Crowded):
            await found(trials, [export("fits", x="1")], b"{}")

        assert not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_no_more_validations_are_held_than_the_bound() -> None:
    async with trials_with(max_validations=2) as trials:
        with trials.place(), trials.place(), pytest.raises(Crowded):
            trials.place().__enter__()

        with trials.place(), trials.place():
            pass


async def test_rows_stay_in_the_child() -> None:
    async with trials_with() as trials:
        await found(trials, [export("fits", x="1")], b"{}")
        tracemalloc.start()
        try:
            assert await found(trials, [export("large", x="std.repeat('x', 900000)")], *[b"{}"] * 30) == []
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert peak_bytes < 10 * 1024 * 1024


async def test_nothing_to_map_needs_no_child() -> None:
    async with trials_with() as trials:
        assert await found(trials, [], b"{}") == []
        assert await found(trials, [export("fits", x="1")]) == []
        assert trials.pids == []


async def test_children_run_only_while_they_are_needed() -> None:
    async with trials_with(validation_children=2, validation_idle_seconds=0.2) as trials:
        assert trials.pids == []
        await found(trials, [export("fits", x="1")], b"{}")
        assert len(trials.pids) == 2

        await until(trials, 0)

        assert await found(trials, [export("one", x="Body('a')")], b"{}") == [("one", 0, ["x"])]


async def test_children_that_map_are_not_idle() -> None:
    async with trials_with(validation_idle_seconds=0.05, mapping_event_seconds=1) as trials:
        assert await found(trials, [export("loop", x=FOREVER)], b"{}") == [("loop", 0, ["x"])]


async def outcomes_of(trials: Trials, tried: Export, *bodies: bytes) -> list[tuple[bytes | None, list[str | None]]]:
    """Row and columns at fault of each event."""
    batch = sample_batch(list(bodies), [], "10.0.0.1")
    made = await trials.outcomes(tried.revision.mapping, batch, lambda csv: csv)
    return [(outcome.row, [failure.column for failure in outcome.failures]) for outcome in made]


async def test_outcomes_are_rows_or_all_columns_at_fault_in_the_order_of_events() -> None:
    mapping = Mapping("in.c-b.t", export("all", x="Body('a')", y="Body('b')").revision.mapping.columns[1:])
    tried = replace(export("all"), revisions=(Revision(1, mapping, "token", b"", 0),))
    async with trials_with() as trials:
        made = await outcomes_of(trials, tried, b'{"a": 1, "b": "\\n"}', b"{}", b"broken", b'{"a": 2, "b": 3}')

    assert made == [
        (b'"1","""\\n"""\n', []),
        (None, ["x", "y"]),
        (None, [None]),
        (b'"2","3"\n', []),
    ]


async def test_rows_are_held_one_at_a_time() -> None:
    large = export("large", x="std.repeat('x', 900000)").revision.mapping
    async with trials_with() as trials:
        await outcomes_of(trials, export("fits", x="1"), b"{}")
        tracemalloc.start()
        try:
            sizes = await trials.outcomes(large, sample_batch([b"{}"] * 30, [], ""), len)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert [outcome.row for outcome in sizes] == [900_000 + len('"",""""""\n') + 36] * 30
    assert peak_bytes < 10 * 1024 * 1024


async def test_outcomes_of_no_event_need_no_child() -> None:
    async with trials_with() as trials:
        assert await outcomes_of(trials, export("fits", x="1")) == []
        assert trials.pids == []


async def test_real_events_are_decoded_by_the_schemas_of_the_registry() -> None:
    class Source:
        async def fetch(self, schema_id: int) -> Schema:
            return Schema(SchemaKind.JSON)

    body = bytes([0, 0, 0, 0, 1]) + b'{"n":1}'
    trials = Trials(Settings(_env_file=None), Schemas(Source()))  # type: ignore[call-arg]  # pydantic's own argument
    tending = asyncio.create_task(trials.tend())

    made = await trials.outcomes(
        export("e", n="Body('n')").revision.mapping, sample_batch([body], [], ""), bytes.decode
    )

    tending.cancel()
    await asyncio.gather(tending, return_exceptions=True)
    assert [outcome.row.endswith(',"1"\n') for outcome in made if outcome.row] == [True]
