"""Rows and failures of consecutive events, cut into the segments that become envelopes. Source: delivery protocol, rule
4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Table

from app.mapping.csv import row_ends
from app.mapping.faults import MAX_ROW_BYTES, TOO_LARGE, Fault, cut_message
from app.model.event import EventBatch, Failure, Reason, Segment

MAX_SEGMENT_BYTES = 900_000
"""Bytes of CSV, failures and the raw events of failures in one segment, unless it is one entry."""
FAILURE_BYTES = 100
"""What a failure weighs in an envelope beside its message and raw event, roughly."""


def cut(
    batch: EventBatch,
    start: int,
    stop: int,
    csv: bytes,
    faults: Table[int, Fault],
    raw_size: Callable[[int], int],
    rows: Sequence[int] = (),
) -> list[Segment]:
    """Segments that cover the events from index `start` to before `stop`, in order.

    `csv` has a row for each of `rows`, ascending indexes; `faults` (by index) has others; the rest was skipped on
    purpose. `raw_size` says what the raw event of an index weighs. A row over 1 MiB becomes a failure. No events, no
    segments.

    >>> from app.mapping.examples import BATCH
    >>> cut(BATCH, 0, 2, b'"a"\\n', {1: Fault(Reason.TEMPLATE_ERROR, "c", "no")}, lambda index: 2, [0])[0].offsets
    [7]
    """
    if start == stop:
        return []
    if not faults and len(csv) <= MAX_SEGMENT_BYTES:
        whole = len(rows) == stop - start
        offsets = batch.offsets[start:stop] if whole else [batch.offsets[index] for index in rows]
        return [Segment(batch.offsets[stop - 1] + 1, csv, offsets, [])]
    building = _Building(batch, csv)
    places = iter(rows)
    ends = iter(row_ends(csv))
    row_start, place = 0, next(places, None)
    for index in range(start, stop):
        fault = faults.get(index)
        if index == place:
            row_end, place = next(ends), next(places, None)
            if row_end - row_start <= MAX_ROW_BYTES:
                building.add_row(index, row_start, row_end)
            else:
                fault = Fault(Reason.ROW_TOO_LARGE, None, TOO_LARGE)
            row_start = row_end
        elif fault is None:
            building.skip(index)
        if fault is not None:
            building.add_failure(index, fault, raw_size(index))
    return building.finish()


def before(segments: Sequence[Segment], offset: int) -> list[Segment]:
    """The segments without the event at this offset and all after it, of which those in its segment have no rows.

    >>> failures = [Failure(3, Reason.BODY_INVALID, None, ""), Failure(4, Reason.TEMPLATE_TIMEOUT, None, "")]
    >>> before([Segment(3, b"1\\n", [2], []), Segment(6, b"", [], failures)], 4)[1]
    Segment(end=4, csv=b'', offsets=[], failures=[Failure(offset=3, reason=<Reason.BODY_INVALID: 'body.invalid'>, \
column=None, message='')])
    """
    kept = []
    for segment in segments:
        if segment.end <= offset:
            kept.append(segment)
            continue
        failures = [failure for failure in segment.failures if failure.offset < offset]
        if segment.offsets or failures:
            kept.append(Segment(offset, segment.csv, segment.offsets, failures))
        break
    return kept


class _Building:
    """The segment under way and those done; entries come in the order of their events."""

    def __init__(self, batch: EventBatch, csv: bytes) -> None:
        self._batch = batch
        self._csv = csv
        self._done: list[Segment] = []
        self._stop = 0
        self._clear()

    def _clear(self) -> None:
        self._size = 0
        self._pieces: list[bytes] = []
        self._piece = (0, 0)
        self._offsets: list[int] = []
        self._failures: list[Failure] = []

    def _enter(self, index: int, size: int) -> None:
        if self._size and self._size + size > MAX_SEGMENT_BYTES:
            self._close()
        self._size += size
        self._stop = index + 1

    def _close(self) -> None:
        self._pieces.append(self._csv[slice(*self._piece)])
        end = self._batch.offsets[self._stop - 1] + 1
        self._done.append(Segment(end, b"".join(self._pieces), self._offsets, self._failures))
        self._clear()

    def add_row(self, index: int, start: int, end: int) -> None:
        self._enter(index, end - start)
        if start != self._piece[1]:
            self._pieces.append(self._csv[slice(*self._piece)])
            self._piece = (start, start)
        self._piece = (self._piece[0], end)
        self._offsets.append(self._batch.offsets[index])

    def add_failure(self, index: int, fault: Fault, raw_size: int) -> None:
        message = cut_message(fault.message)
        self._enter(index, raw_size + len(message.encode()) + FAILURE_BYTES)
        self._failures.append(Failure(self._batch.offsets[index], fault.reason, fault.column, message))

    def skip(self, index: int) -> None:
        self._stop = index + 1

    def finish(self) -> list[Segment]:
        self._close()
        return self._done
