"""Cutting envelopes: compared with counting row by row."""

from __future__ import annotations

from envelopes import Outcome, envelope, row
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.csv import row_ends
from app.model.conditions import Conditions
from app.model.ledger import Window
from app.sink.windows import NewRows, new_rows, room, rows_that_fill

outcomes = st.lists(st.sampled_from(Outcome), max_size=12)


@given(base=st.integers(0, 30), outcomes=outcomes, mark=st.integers(0, 45))
def test_new_rows_are_those_at_or_after_the_mark(base: int, outcomes: list[Outcome], mark: int) -> None:
    rows = envelope(base, outcomes)
    offsets = list(rows.row_offsets())
    wanted = [offset for offset in offsets if offset >= mark]

    found = new_rows(rows, mark)

    expected = wanted and NewRows(
        b"".join(map(row, wanted)), len(wanted), wanted[0], wanted[-1], offsets.index(wanted[0])
    )
    assert found == (expected or None)


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    start=st.integers(0, 11),
    count=st.integers(1, 14),
    size_bytes=st.integers(1, 60),
)
def test_a_window_takes_rows_until_one_meets_its_count_or_size(
    lengths: list[int], start: int, count: int, size_bytes: int
) -> None:
    start %= len(lengths)
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    expected, size = 0, 0
    for length in lengths[start:]:
        expected, size = expected + 1, size + length
        if expected == count or size >= size_bytes:
            break

    assert rows_that_fill(ends, start, count, size_bytes) == expected


def test_room_is_what_is_missing_and_never_less_than_one_row() -> None:
    conditions = Conditions(count=10, size_bytes=100)
    window = Window("b", 1, "t", 0, count=4, size_bytes=30)
    full = Window("b", 1, "t", 0, count=40, size_bytes=300)

    assert room(None, conditions) == (10, 100)
    assert room(window, conditions) == (6, 70)
    assert room(full, conditions) == (1, 1)


@given(offsets=st.lists(st.integers(0, 40), max_size=12))
def test_row_ends_find_each_row_of_a_text(offsets: list[int]) -> None:
    rows = [row(offset) for offset in offsets]

    ends = row_ends(b"".join(rows))

    assert [b"".join(rows)[i:j] for i, j in zip([0, *ends], ends, strict=False)] == rows
