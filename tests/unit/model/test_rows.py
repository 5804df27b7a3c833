"""Offsets of an envelope's rows, as runs and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.rows import Rows, Source, to_runs


def rows(base: int, runs: list[int]) -> Rows:
    return Rows("x", 1, Source("t", 0, "live"), base, 10**6, runs, sum(runs[1::2]), b"", (), 0)


@given(base=st.integers(0, 50), offsets=st.sets(st.integers(0, 80)))
def test_runs_give_the_offsets_back(base: int, offsets: set[int]) -> None:
    ascending = sorted(base + offset for offset in offsets)

    runs = to_runs(base, ascending)

    assert list(rows(base, runs).row_offsets()) == ascending


@given(base=st.integers(0, 50), offsets=st.sets(st.integers(0, 80), min_size=1))
def test_runs_are_as_few_as_possible(base: int, offsets: set[int]) -> None:
    runs = to_runs(base, sorted(base + offset for offset in offsets))

    starts = [offset for offset in offsets if offset - 1 not in offsets]
    assert len(runs) == 2 * len(starts)
    assert all(gap > 0 for gap in runs[2::2])


@pytest.mark.parametrize(
    ("base", "offsets", "runs"),
    [(5, [], []), (5, [5, 6, 7], [0, 3]), (5, [9, 10], [4, 2]), (10, [10, 11, 14], [0, 2, 2, 1])],
)
def test_runs_are_gaps_and_lengths(base: int, offsets: list[int], runs: list[int]) -> None:
    assert to_runs(base, offsets) == runs
