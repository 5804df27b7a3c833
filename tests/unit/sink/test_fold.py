"""The fold of one export alone: what a window holds, what a repeat changes, what a step writes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from envelopes import SOURCE, Outcome, envelope, failed, row
from hypothesis import given
from hypothesis import strategies as st

from app.model.conditions import Conditions
from app.model.ledger import BatchRecord, ExportState, Mark, Phase, Slice, SourceRange, StagedFile, Window
from app.model.rows import Rows, Source
from app.sink.fold import FAILURE_OVERHEAD_BYTES, ExportFold, Gap
from app.sink.steps import LedgerWrite, StagedPart, Step

ROW, FAILURE, SKIPPED = Outcome.ROW, Outcome.FAILURE, Outcome.SKIPPED
WIDE = Conditions(count=1000, size_bytes=10**6, time_seconds=60)
FILE = StagedFile("f1", 0, 0, b"")
outcomes = st.lists(st.sampled_from(Outcome), max_size=40)


def take(fold: ExportFold, position: int, rows: Rows, conditions: Conditions = WIDE, appended_ms: int = 0) -> bool:
    return fold.take(position, rows, appended_ms, "in.c-x.t", conditions)


def picture(fold: ExportFold) -> Any:
    """All that the fold knows, but for the rows offset."""
    state = copy.deepcopy({name: value for name, value in vars(fold).items() if name != "position"})
    return repr(state)


def staged(step: Step) -> dict[str, StagedPart]:
    return {
        batch_id: StagedPart(FILE, "run", True, Slice(f"s-{step.state.staged_to}", part.rows, part.size_bytes, 1))
        for batch_id, part in step.parts.items()
    }


def record_step(fold: ExportFold, batches: dict[str, BatchRecord], now_ms: int = 0) -> LedgerWrite:
    """Stage and write the step under way."""
    assert fold.step is not None
    write = fold.step_write(batches, staged(fold.step), now_ms)
    batches.update({batch.batch_id: batch for batch in write.batches})
    fold.written(write)
    return write


# Windows


@given(
    outcomes=outcomes,
    cuts=st.lists(st.integers(1, 10), max_size=40),
    steps=st.lists(st.booleans(), max_size=40),
    count=st.integers(1, 12),
    size_bytes=st.integers(1, 200),
)
def test_slices_are_the_rows_in_order_and_windows_end_where_their_conditions_say(
    outcomes: list[Outcome], cuts: list[int], steps: list[bool], count: int, size_bytes: int
) -> None:
    fold, conditions = ExportFold(ExportState("x")), Conditions(count, size_bytes, 60)
    batches: dict[str, BatchRecord] = {}
    csv: dict[str, bytes] = {}
    base = position = 0
    while base < len(outcomes) or fold.step or fold.cut():
        if fold.step is not None:
            for batch_id, part in fold.step.parts.items():
                csv[batch_id] = csv.get(batch_id, b"") + b"".join(part.csv)
            record_step(fold, batches)
            continue
        end = base + (cuts[position] if position < len(cuts) else 5)
        take(fold, position, envelope(base, outcomes[base:end]), conditions)
        base, position = min(end, len(outcomes)), position + 1
        if position < len(steps) and steps[position]:
            fold.cut()

    rows = [offset for offset, outcome in enumerate(outcomes) if outcome is ROW]
    assert b"".join(csv[batch_id] for batch_id in sorted(csv)) == b"".join(map(row, rows))
    for batch_id, batch in batches.items():
        mine, rows = rows[: batch.count], rows[batch.count :]
        size = len(csv[batch_id])
        assert batch.sources == (SourceRange(SOURCE, mine[0], mine[-1]),)
        assert (batch.closed_by == "count") == (batch.count == count)
        assert batch.count <= count
        assert (batch.closed_by is not None) == (batch.count == count or size >= size_bytes)
        assert size - len(row(mine[-1])) < size_bytes
        assert sum(part.csv_bytes for part in batch.slices) == size


@given(opened_ms=st.integers(0, 10**6), seconds=st.floats(0.001, 10**4), early_ms=st.integers(1, 10**6))
def test_window_is_closed_when_its_time_has_come_and_not_before(opened_ms: int, seconds: float, early_ms: int) -> None:
    fold, conditions = ExportFold(ExportState("x")), Conditions(10, 10**6, seconds)
    take(fold, 0, envelope(0, [ROW]), conditions, opened_ms)
    take(fold, 1, envelope(1, [ROW]), conditions, opened_ms + 10**6)
    due_ms = opened_ms + seconds * 1000

    assert not fold.close_due(int(due_ms - early_ms), conditions)
    assert fold.close_due(int(due_ms) + 1, conditions)
    assert fold.has_closed
    assert not fold.windows


def test_revisions_and_tables_have_windows_of_their_own() -> None:
    fold = ExportFold(ExportState("x"))

    fold.take(0, envelope(0, [ROW]), 7, "in.c-x.a", WIDE)
    fold.take(1, envelope(1, [ROW], revision=2), 8, "in.c-x.a", WIDE)
    fold.take(2, envelope(2, [ROW], revision=2), 9, "in.c-x.b", WIDE)

    assert [(w.revision, w.table_id, w.opened_ms, w.count) for w in fold.windows.values()] == [
        (1, "in.c-x.a", 7, 1),
        (2, "in.c-x.a", 8, 1),
        (2, "in.c-x.b", 9, 1),
    ]


def test_close_batch_closes_that_window_alone_and_once() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 0, envelope(0, [ROW]))
    take(fold, 1, envelope(1, [ROW], revision=2))
    first, second = [window.batch_id for window in fold.windows.values()]

    fold.close_batch(first, "credentials")
    fold.close_batch(first, "again")

    step = fold.cut()
    assert step is not None
    assert step.closed == {first: "credentials"}
    assert [window.batch_id for window in step.state.windows] == [second]


# Repeats and gaps


@given(
    taken=st.lists(st.sampled_from(Outcome), min_size=1, max_size=12),
    repeated=outcomes,
    start=st.integers(0, 11),
    data=st.data(),
)
def test_repeat_with_another_cut_and_other_outcomes_changes_nothing(
    taken: list[Outcome], repeated: list[Outcome], start: int, data: st.DataObject
) -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 0, envelope(0, taken))
    before = picture(fold)
    start = min(start, len(taken))
    repeat = envelope(start, repeated[: len(taken) - start], version=1)

    assert not take(fold, 1, repeat)
    assert not take(fold, data.draw(st.integers(0, 2)), repeat)
    assert picture(fold) == before


@given(taken=outcomes, more=outcomes, start=st.integers(0, 40), count=st.integers(1, 8))
def test_partial_repeat_adds_only_what_is_after_the_mark(
    taken: list[Outcome], more: list[Outcome], start: int, count: int
) -> None:
    start = min(start, len(taken))
    again = envelope(start, taken[start:] + more, version=1)
    repeated, plain = ExportFold(ExportState("x")), ExportFold(ExportState("x"))
    conditions = Conditions(count, 10**6, 60)
    for fold in (repeated, plain):
        take(fold, 0, envelope(0, taken), conditions)

    take(repeated, 1, again, conditions)
    take(plain, 1, envelope(len(taken), more, version=1), conditions)

    assert [failure.event for failure in repeated._failures] == [failure.event for failure in plain._failures]
    assert [(b"".join(part.csv), part.rows, part.ranges) for part in repeated._parts.values()] == [
        (b"".join(part.csv), part.rows, part.ranges) for part in plain._parts.values()
    ]
    assert repeated._marks == plain._marks


def test_gap_is_raised_and_changes_nothing() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 0, envelope(0, [ROW]))
    before, position = picture(fold), fold.position

    with pytest.raises(Gap, match="taken up to offset 1, the next envelope begins at 3: 2 offsets are missing"):
        take(fold, 1, envelope(3, [ROW]))

    assert (picture(fold), fold.position) == (before, position)


def test_sources_have_marks_of_their_own() -> None:
    fold = ExportFold(ExportState("x"))
    other, lane = Source("topic", 1, "live"), Source("topic", 0, "replay-1")

    assert take(fold, 0, envelope(0, [ROW, ROW]))
    assert take(fold, 1, envelope(40, [ROW], source=other))
    assert take(fold, 2, envelope(0, [ROW], source=lane))

    step = fold.cut()
    assert step is not None
    assert step.state.marks == (Mark(SOURCE, 2), Mark(other, 41), Mark(lane, 1, rows=1))


# Steps


def test_step_and_its_snapshot_are_as_of_the_cut() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 4, envelope(0, [ROW, FAILURE]), appended_ms=70)
    step = fold.cut()
    take(fold, 5, envelope(2, [ROW, FAILURE]))

    assert step is not None
    write = fold.step_write({}, staged(step), 99)

    batch_id = f"{4:015d}-{0:07d}"
    assert write.state == ExportState(
        "x", 5, 5, (Mark(SOURCE, 2),), (Window(batch_id, 1, "in.c-x.t", 70, 1, len(row(0))),)
    )
    assert [failure.event for failure in write.failures] == [failed(1)]
    assert [(batch.batch_id, batch.phase, batch.count) for batch in write.batches] == [(batch_id, Phase.OPEN, 1)]


def test_time_close_reaches_the_ledger_with_the_step_of_its_last_row() -> None:
    fold, batches = ExportFold(ExportState("x")), dict[str, BatchRecord]()
    take(fold, 0, envelope(0, [ROW]))
    fold.cut()
    take(fold, 1, envelope(1, [ROW]))
    fold.close_due(60_000, WIDE)

    first = record_step(fold, batches, 60_001)
    fold.cut()
    second = record_step(fold, batches, 60_002)

    assert [(batch.phase, batch.count) for batch in first.batches] == [(Phase.OPEN, 1)]
    assert [(batch.phase, batch.count, batch.closed_by, batch.closed_ms) for batch in second.batches] == [
        (Phase.CLOSING, 2, "time", 60_002)
    ]
    assert second.state.windows == ()


def test_window_without_new_rows_is_closed_by_a_step_without_parts() -> None:
    fold, batches = ExportFold(ExportState("x")), dict[str, BatchRecord]()
    take(fold, 0, envelope(0, [ROW]))
    fold.cut()
    record_step(fold, batches)
    fold.close_due(60_000, WIDE)

    step = fold.cut()

    assert step is not None
    assert not step.parts
    assert [batch.phase for batch in record_step(fold, batches).batches] == [Phase.CLOSING]


def test_dead_letters_are_published_ahead_of_rows_and_not_again_after_a_restart() -> None:
    fold = ExportFold(ExportState("x"))
    first, second = envelope(0, [ROW, FAILURE]), envelope(2, [FAILURE])
    take(fold, 0, first)

    write = fold.dead_letter_write()
    assert write is not None
    take(fold, 1, second)
    fold.written(write)
    again = ExportFold(write.state)
    take(again, 0, first)
    take(again, 1, second)

    assert [failure.event for failure in write.failures] == [failed(1)]
    assert (write.state.staged_to, write.state.dead_letters_to) == (0, 1)
    assert [failure.event for failure in fold._failures] == [failed(2)]
    assert [failure.event for failure in again._failures] == [failed(2)]


def test_failures_are_counted_until_they_are_published() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 0, envelope(0, [ROW, FAILURE]))
    write = fold.dead_letter_write()
    assert write is not None
    one = fold.failure_bytes
    take(fold, 1, envelope(2, [FAILURE]))
    two = fold.failure_bytes

    fold.written(write)

    assert one == FAILURE_OVERHEAD_BYTES + len(failed(1).body or b"")
    assert (two, fold.failure_bytes) == (2 * one, one)


def test_nothing_to_publish_is_no_write() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 0, envelope(0, [ROW]))

    assert fold.dead_letter_write() is None


@pytest.mark.parametrize("outcome", list(Outcome))
def test_envelope_holds_the_group_offset_until_its_marks_are_in_the_ledger(outcome: Outcome) -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 3, envelope(0, [outcome]))
    taken = fold.first_unstaged
    fold.cut()
    under_way = fold.first_unstaged
    record_step(fold, {})
    recorded = fold.first_unstaged
    take(fold, 4, envelope(0, [outcome], version=1))

    assert (taken, under_way, recorded, fold.first_unstaged) == (3, 3, None, None)


def test_published_failures_still_hold_the_group_offset() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 3, envelope(0, [FAILURE]))
    write = fold.dead_letter_write()
    assert write is not None

    fold.written(write)

    assert fold.first_unstaged == 3


def test_second_step_waits_for_the_first() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 0, envelope(0, [ROW]))
    fold.cut()
    take(fold, 1, envelope(1, [ROW]))

    assert fold.cut() is None
    assert fold.first_unstaged == 0
    record_step(fold, {})
    assert fold.first_unstaged == 1
    assert fold.cut() is not None


def test_nothing_taken_is_nothing_to_stage() -> None:
    fold = ExportFold(ExportState("x"))

    assert fold.cut() is None
    assert fold.idle
    with pytest.raises(RuntimeError, match="no staging step is under way"):
        fold.step_write({}, {}, 0)


def test_buffered_bytes_are_those_that_no_step_has_taken() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 0, envelope(0, [ROW, ROW]))
    before = fold.buffered_bytes
    fold.cut()
    take(fold, 1, envelope(2, [ROW]))

    assert before == len(row(0) + row(1))
    assert fold.buffered_bytes == len(row(2))


# Stopping


def test_export_that_is_stopped_says_so_once_and_in_all_that_it_writes_after() -> None:
    fold, batches = ExportFold(ExportState("x")), dict[str, BatchRecord]()
    take(fold, 5, envelope(0, [ROW]))
    fold.cut()
    fold.stopped = True

    told = fold.stop_write()
    assert told is not None
    fold.written(told)
    again, step = fold.stop_write(), record_step(fold, batches)

    assert (told.state, again) == (ExportState("x", stopped=True), None)
    assert step.state.stopped
    assert fold.park_write().state.stopped


def test_export_is_not_stopped_after_a_restart_until_that_is_seen_again() -> None:
    fold = ExportFold(ExportState("x", stopped=True))
    take(fold, 5, envelope(0, [ROW]))
    fold.cut()

    write = record_step(fold, {})

    assert not write.state.stopped
