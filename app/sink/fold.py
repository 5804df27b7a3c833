"""An export's state as a fold over its envelopes: marks, open windows, what is buffered, what is staged. Pure.

Each accepted row goes to exactly one window; each failure is published once. A staging step takes everything up to a
place in the rows partition, and the snapshot that it writes is the one kept from that place, so after a restart the
fold goes on from there and comes to the same rows. Nothing here knows Kafka, Storage or a clock; times come in as
numbers. Source: delivery protocol, rules 2 and 7 to 9.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from app.mapping.csv import row_ends
from app.model.conditions import Conditions
from app.model.ledger import BatchRecord, ExportState, Mark, Phase, Window
from app.model.receiver import LIVE_LANE
from app.model.rows import Rows, Source
from app.sink.steps import LedgerWrite, Part, PendingFailure, StagedPart, Step, with_slice
from app.sink.windows import new_rows, room, rows_that_fill

FAILURE_OVERHEAD_BYTES = 1000
"""What a failure that waits costs beside its raw event."""


class Gap(Exception):
    """An envelope begins after the mark: what lies between is missing. The export must stop and a person must look."""

    def __init__(self, source: Source, mark: int, base: int) -> None:
        super().__init__(
            f"source {source.topic_id}/{source.partition} ({source.lane}) is taken up to offset {mark}, "
            f"the next envelope begins at {base}: {base - mark} offsets are missing"
        )


class ExportFold:
    """The state of one export in one sink process. Not thread-safe; all calls from one loop."""

    def __init__(self, state: ExportState) -> None:
        self.staged = state
        """What the ledger holds."""
        self.parked = state.parked
        """Whether its envelopes are read again from `position`, apart from those of the others (rule 12)."""
        self.stopped = False
        """Whether envelopes are missing. Found out anew after a restart: it may have been mended."""
        self.position = state.staged_to
        """Rows offset of the next envelope to take."""
        self.windows = {(w.revision, w.table_id): w for w in state.windows}
        self.step: Step | None = None
        """The step under way; the next one is cut after it is recorded."""
        self._marks = state.next_offsets
        self._tallies = {
            mark.source: (mark.rows, mark.failures) for mark in state.marks if mark.source.lane != LIVE_LANE
        }
        """Rows and failures so far of each source of a replay."""
        self._parts: dict[str, Part] = {}
        self._closed: dict[str, str] = {}
        self._failures: list[PendingFailure] = []
        self._first: int | None = None
        self.buffered_bytes = 0
        """CSV bytes in parts that no step has taken yet."""
        self.failure_bytes = 0
        """Bytes of the events that failed and are not published yet."""

    @property
    def marks(self) -> Mapping[Source, int]:
        """How far each source has been taken."""
        return self._marks

    # Taking envelopes

    def knows(self, position: int, rows: Rows) -> bool:
        """Whether all of this envelope was taken before."""
        return position < self.position or rows.end <= self._marks.get(rows.source, -1)

    def take(
        self,
        position: int,
        rows: Rows,
        appended_ms: int,
        table_id: str,
        conditions: Conditions,
        first: int | None = None,
    ) -> bool:
        """Take the envelope at this rows offset, appended at this broker time; whether it changed anything.

        `first` is the source offset at which the source begins, where that is known. Repeats (by the source's mark) are
        dropped whatever their outcome, so a second call with the same envelope changes nothing. Raises Gap, and then
        has changed nothing.
        """
        if position < self.position:
            return False
        mark = self._marks.get(rows.source, rows.base if first is None else first)
        if rows.base > mark:
            raise Gap(rows.source, mark, rows.base)
        self.position = position + 1
        if rows.end <= self._marks.get(rows.source, -1):
            return False
        self._first = position if self._first is None else self._first
        self._marks[rows.source] = rows.end
        if position >= self.staged.dead_letters_to:
            new = [
                PendingFailure(position, rows.revision, rows.source, event)
                for event in rows.failures
                if event.offset >= mark
            ]
            self._failures += new
            self.failure_bytes += _size(new)
        if rows.source.lane != LIVE_LANE:
            self._tally(rows, mark)
        self._fill(position, rows, mark, appended_ms, table_id, conditions)
        return True

    def _tally(self, rows: Rows, mark: int) -> None:
        count, failures = self._tallies.get(rows.source, (0, 0))
        count += sum(offset >= mark for offset in rows.row_offsets())
        failures += sum(event.offset >= mark for event in rows.failures)
        self._tallies[rows.source] = count, failures

    def keep_lanes(self, lanes: Collection[str]) -> None:
        """Forget the marks of replays that are not among these: whoever calls this takes no envelope of them again."""
        if not self._tallies:
            return
        for source in [s for s in self._marks if s.lane != LIVE_LANE and s.lane not in lanes]:
            del self._marks[source]
            self._tallies.pop(source, None)

    def _fill(
        self, position: int, rows: Rows, mark: int, appended_ms: int, table_id: str, conditions: Conditions
    ) -> None:
        new = new_rows(rows, mark)
        if new is None:
            return
        key = (rows.revision, table_id)
        count, size_bytes = room(self.windows.get(key), conditions)
        if new.count < count and len(new.csv) < size_bytes:
            window = self._window(key, f"{position:015d}-{new.index:07d}", appended_ms)
            self._add(key, window, new.csv, new.count, rows.source, new.first, new.last)
            return
        offsets = [offset for offset in rows.row_offsets() if offset >= mark]
        ends = row_ends(new.csv)
        start = 0
        while start < new.count:
            count, size_bytes = room(self.windows.get(key), conditions)
            taken = rows_that_fill(ends, start, count, size_bytes)
            begin, end = ends[start - 1] if start else 0, ends[start + taken - 1]
            window = self._window(key, f"{position:015d}-{new.index + start:07d}", appended_ms)
            window = self._add(
                key, window, new.csv[begin:end], taken, rows.source, offsets[start], offsets[start + taken - 1]
            )
            if window.count >= conditions.count:
                self._close(key, "count")
            elif window.size_bytes >= conditions.size_bytes:
                self._close(key, "size")
            start += taken

    def _window(self, key: tuple[int, str], batch_id: str, appended_ms: int) -> Window:
        """The open window, or a new one. A batch is named by the place of its first row, so a fold that is done again
        names it the same, and names sort by age."""
        return self.windows.get(key) or Window(batch_id, key[0], key[1], appended_ms, 0, 0)

    def _add(
        self, key: tuple[int, str], window: Window, csv: bytes, rows: int, source: Source, first: int, last: int
    ) -> Window:
        window = replace(window, count=window.count + rows, size_bytes=window.size_bytes + len(csv))
        self.windows[key] = window
        part = self._parts.setdefault(window.batch_id, Part(window))
        part.add(csv, rows, source, first, last)
        self.buffered_bytes += len(csv)
        return window

    # Closing windows

    def close_due(self, now_ms: int, conditions: Conditions) -> bool:
        """Close the windows whose time has come by the broker's clock; whether there were any."""
        due = [key for key, w in self.windows.items() if now_ms - w.opened_ms >= conditions.time_seconds * 1000]
        for key in due:
            self._close(key, "time")
        return bool(due)

    def close_batch(self, batch_id: str, reason: str) -> None:
        """Close this window if it is still open."""
        for key in [key for key, window in self.windows.items() if window.batch_id == batch_id]:
            self._close(key, reason)

    def close_before(self, revision: int, reason: str = "mapping") -> None:
        """Close the windows of all revisions before this one."""
        for key in [key for key in self.windows if key[0] < revision]:
            self._close(key, reason)

    def close_revision(self, revision: int, reason: str) -> None:
        """Close the windows of this revision."""
        for key in [key for key in self.windows if key[0] == revision]:
            self._close(key, reason)

    def _close(self, key: tuple[int, str], reason: str) -> None:
        self._closed[self.windows.pop(key).batch_id] = reason

    # Staging

    @property
    def has_closed(self) -> bool:
        """Whether a window waits to be closed in the ledger."""
        return bool(self._closed)

    @property
    def has_failures(self) -> bool:
        """Whether failures wait to be published."""
        return bool(self._failures)

    @property
    def idle(self) -> bool:
        """Whether no row waits to be staged, so that a step costs one ledger write and no upload."""
        return self.step is None and not self._parts

    @property
    def first_unstaged(self) -> int | None:
        """Rows offset from which a restart must read again for this export; None when the ledger covers all it took, or
        says that the export is parked: then a restart reads again from `staged_to`, apart from the others.
        """
        if self.parked:
            return None
        if self.step is not None and self.step.first is not None:
            return self.step.first
        return self._first

    def cut(self) -> Step | None:
        """Take all that is not staged into a step; None when there is nothing, or while a step is under way.

        All rows of all revisions up to one place (rule 8): a step of some of them would leave a row on the wrong side.
        """
        news = self._first is not None or self._closed or self._failures or self.parked != self.staged.parked
        if self.step is not None or not news:
            return None
        self.step = Step(self._snapshot(), self._parts, self._closed, self._first)
        self._parts, self._closed, self._first, self.buffered_bytes = {}, {}, None, 0
        return self.step

    def step_write(
        self, batches: Mapping[str, BatchRecord], staged: Mapping[str, StagedPart], now_ms: int
    ) -> LedgerWrite:
        """What the step under way writes when all its parts are uploaded: slices, closings, dead letters, snapshot.

        `batches` are the ledger's records of this export's open batches; `staged` has each part of the step. Rule 8.
        """
        step = self._under_way()
        changed: dict[str, BatchRecord] = {}
        for batch_id, part in step.parts.items():
            changed[batch_id] = with_slice(batches.get(batch_id), self.staged.export_uid, part, staged[batch_id])
        for batch_id, reason in step.closed.items():
            record = changed.get(batch_id) or batches[batch_id]
            changed[batch_id] = replace(record, phase=Phase.CLOSING, closed_by=reason, closed_ms=now_ms)
        dead_letters_to = max(self.staged.dead_letters_to, step.state.staged_to)
        return LedgerWrite(
            replace(step.state, dead_letters_to=dead_letters_to, stopped=self.stopped),
            tuple(changed.values()),
            tuple(failure for failure in self._failures if failure.position < dead_letters_to),
            step,
        )

    def dead_letter_write(self) -> LedgerWrite | None:
        """What publishes the failures so far while rows wait to be staged; None when there are none.

        With nothing buffered a step does it instead (`cut`), which moves `staged_to` too (rule 9): else a repeat would
        look new after a restart.
        """
        if not self._failures:
            return None
        dead_letters_to = max(self.staged.dead_letters_to, self.position)
        state = replace(self.staged, dead_letters_to=dead_letters_to, stopped=self.stopped)
        return LedgerWrite(state, failures=tuple(self._failures))

    def stop_write(self) -> LedgerWrite | None:
        """What tells others that the export is stopped: the ledger's own state with the flag. None when it is told."""
        return None if self.staged.stopped else LedgerWrite(replace(self.staged, stopped=True))

    # Parking

    def park_write(self) -> LedgerWrite:
        """What parks the export: the ledger's own state with the flag. What is not in it is in Kafka.

        No step or write may be under way, and a fold of the state written goes on in this one's place (rule 12).
        """
        return LedgerWrite(replace(self.staged, parked=True, stopped=self.stopped))

    def resume(self) -> None:
        """All before the next envelope that the others take is taken. The flag goes with a step cut after this, for
        only such a step covers what was read again.
        """
        self.parked = False

    def written(self, write: LedgerWrite) -> None:
        """The ledger has this write. One write of an export is under way at a time."""
        if write.step is not None:
            self.step = None
        self.staged = write.state
        self._failures = [f for f in self._failures if f.position >= write.state.dead_letters_to]
        self.failure_bytes = _size(self._failures)

    def _under_way(self) -> Step:
        if self.step is None:
            raise RuntimeError("no staging step is under way")
        return self.step

    def _snapshot(self) -> ExportState:
        return ExportState(
            self.staged.export_uid,
            self.position,
            self.position,
            tuple(Mark(source, offset, *self._tallies.get(source, ())) for source, offset in self._marks.items()),
            tuple(self.windows.values()),
            self.parked,
        )


def _size(failures: Iterable[PendingFailure]) -> int:
    return sum(FAILURE_OVERHEAD_BYTES + len(failure.event.body or b"") for failure in failures)
