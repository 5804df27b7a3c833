"""Offsets of commands that finish out of order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.control.offsets import OpenOffsets


@given(st.permutations(range(8)), st.integers(0, 8))
def test_nothing_before_the_committed_offset_is_unfinished(order: list[int], finished: int) -> None:
    offsets = OpenOffsets()
    offsets.read(10)
    for offset in range(8):
        offsets.open(offset)

    for offset in order[:finished]:
        offsets.close(offset)

    open_ones = order[finished:]
    assert offsets.done == (min(open_ones) if open_ones else 10)


def test_chunk_without_commands_is_done_at_once() -> None:
    offsets = OpenOffsets()

    offsets.read(7)

    assert offsets.done == 7
