"""Where an envelope must be cut: at its first new row, and at the row that meets a window's count or size. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from app.mapping.csv import row_ends
from app.model.conditions import Conditions
from app.model.ledger import Window
from app.model.rows import Rows


@dataclass(frozen=True, slots=True)
class NewRows:
    """The rows of an envelope that are not repeats: `count` rows in `csv`, the first and last at these source
    offsets.
    """

    csv: bytes
    count: int
    first: int
    last: int
    index: int
    """Place of the first one among all rows of the envelope."""


def new_rows(rows: Rows, mark: int) -> NewRows | None:
    """What of this envelope lies at or after `mark` (a source offset); None when no row does."""
    if rows.count == 0:
        return None
    if rows.base >= mark:
        return NewRows(rows.csv, rows.count, _first(rows), _last(rows), 0)
    offsets = list(rows.row_offsets())
    index = bisect_left(offsets, mark)
    if index == len(offsets):
        return None
    start = row_ends(rows.csv)[index - 1] if index else 0
    return NewRows(rows.csv[start:], len(offsets) - index, offsets[index], offsets[-1], index)


def room(window: Window | None, conditions: Conditions) -> tuple[int, int]:
    """Rows and bytes with which the window (or a new one) would meet its count or its size."""
    count, size_bytes = (window.count, window.size_bytes) if window else (0, 0)
    return max(conditions.count - count, 1), max(conditions.size_bytes - size_bytes, 1)


def rows_that_fill(ends: Sequence[int], start: int, count: int, size_bytes: int) -> int:
    """How many rows, from the one at index `start`, a window takes until one more would be one too many.

    `ends` are the byte offsets after each row. The row that meets the count or the size is still taken, so a batch
    passes its size by less than one row.
    """
    begin = ends[start - 1] if start else 0
    by_size = bisect_left(ends, begin + size_bytes, lo=start) + 1 - start
    return min(count, by_size, len(ends) - start)


def _first(rows: Rows) -> int:
    return rows.base + rows.runs[0]


def _last(rows: Rows) -> int:
    return rows.base + sum(rows.runs) - 1
