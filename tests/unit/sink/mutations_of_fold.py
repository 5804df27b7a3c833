"""Rules of the mapper's order and of the fold: marks, windows, steps and what is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from model_mapper import Mapper
from model_sink import Shell
from mutation import Patch, takes_out

from app.model.ledger import Mark
from app.model.rows import Rows
from app.sink.fold import ExportFold
from app.sink.steps import LedgerWrite, PendingFailure, Step

# The mapper


@takes_out("1: one envelope of an export and source in flight", "GAP", "LOST")
def envelopes_are_pipelined(patch: Patch) -> None:
    def choose(self: Mapper, queue: Sequence[Rows]) -> int:
        return self.world.random.randrange(len(queue)) if self.world.fault(0.3) else 0

    patch.setattr(Mapper, "choose", choose)


# The fold: marks


@takes_out("2: a repeat is cut at the mark", "DOUBLED")
def partial_repeats_count_as_new(patch: Patch) -> None:
    real = ExportFold.take

    def take(self: ExportFold, position: int, rows: Rows, *rest: Any) -> bool:
        if rows.base < self._marks.get(rows.source, rows.base) < rows.end:
            self._marks[rows.source] = rows.base
        return real(self, position, rows, *rest)

    patch.setattr(ExportFold, "take", take)


@takes_out("2: a repeat is dropped whatever its outcome", "DOUBLED")
def failures_of_partial_repeats_count_as_new(patch: Patch) -> None:
    real = ExportFold.take

    def take(self: ExportFold, position: int, rows: Rows, *rest: Any) -> bool:
        before = len(self._failures)
        changed = real(self, position, rows, *rest)
        if changed and position >= self.staged.dead_letters_to:
            events = [PendingFailure(position, rows.revision, rows.source, event) for event in rows.failures]
            self._failures[before:] = events
        return changed

    patch.setattr(ExportFold, "take", take)


@takes_out("2: what an envelope skips moves the mark too", "GAP")
def marks_end_at_the_last_entry(patch: Patch) -> None:
    real = ExportFold.take

    def take(self: ExportFold, position: int, rows: Rows, *rest: Any) -> bool:
        entries = [*rows.row_offsets(), *(event.offset for event in rows.failures)]
        return real(self, position, replace(rows, end=max(entries, default=rows.base - 1) + 1), *rest)

    patch.setattr(ExportFold, "take", take)


@takes_out("8: each revision and table has a window of its own", "WRONG-TABLE")
def revisions_share_a_window(patch: Patch) -> None:
    real = ExportFold.take

    def take(self: ExportFold, position: int, rows: Rows, appended_ms: int, table_id: str, *rest: Any) -> bool:
        return real(self, position, replace(rows, revision=1), appended_ms, table_id.split("-")[0], *rest)

    patch.setattr(ExportFold, "take", take)


# The fold: staging


@takes_out("8: a step takes all rows up to one place", "LOST", "DOUBLED", "BATCH")
def a_window_is_staged_alone(patch: Patch) -> None:
    real = ExportFold.cut

    def cut(self: ExportFold) -> Step | None:
        if self.step is None and len(self._parts) > 1:
            chosen = min(self._parts)
            kept = {batch_id: part for batch_id, part in self._parts.items() if batch_id != chosen}
            closed = {batch_id: why for batch_id, why in self._closed.items() if batch_id in kept}
            self._parts = {chosen: self._parts[chosen]}
            self._closed = {batch_id: why for batch_id, why in self._closed.items() if batch_id not in kept}
            step = real(self)
            self._parts, self._closed, self._first = kept, closed, self.position - 1
            return step
        return real(self)

    patch.setattr(ExportFold, "cut", cut)


@takes_out("7: the snapshot's marks are those of the cut", "LOST")
def marks_are_those_of_now(patch: Patch) -> None:
    real = ExportFold.step_write

    def step_write(self: ExportFold, *rest: Any) -> LedgerWrite:
        write = real(self, *rest)
        marks = tuple(Mark(source, offset) for source, offset in self._marks.items())
        return replace(write, state=replace(write.state, marks=marks))

    patch.setattr(ExportFold, "step_write", step_write)


@takes_out("7: the snapshot's windows are those of the cut", "LOST", "DOUBLED", "BATCH", "STUCK")
def windows_are_those_of_now(patch: Patch) -> None:
    real = ExportFold.step_write

    def step_write(self: ExportFold, *rest: Any) -> LedgerWrite:
        write = real(self, *rest)
        return replace(write, state=replace(write.state, windows=tuple(self.windows.values())))

    patch.setattr(ExportFold, "step_write", step_write)


@takes_out("7: the snapshot is as of the place of the cut", "LOST")
def the_snapshot_is_of_now(patch: Patch) -> None:
    real = ExportFold.step_write

    def step_write(self: ExportFold, *rest: Any) -> LedgerWrite:
        write = real(self, *rest)
        now = self._snapshot()
        return replace(write, state=replace(now, dead_letters_to=max(write.state.dead_letters_to, now.staged_to)))

    patch.setattr(ExportFold, "step_write", step_write)


@takes_out("8: a step publishes the dead letters before its end, D >= P", "LOST")
def dead_letters_are_behind(patch: Patch) -> None:
    real_write, real_written = ExportFold.step_write, ExportFold.written

    def step_write(self: ExportFold, *rest: Any) -> LedgerWrite:
        write = real_write(self, *rest)
        return replace(write, state=replace(write.state, dead_letters_to=self.staged.dead_letters_to), failures=())

    def written(self: ExportFold, write: LedgerWrite) -> None:
        kept = self._failures
        real_written(self, write)
        if write.step is not None:
            self._failures = kept

    patch.setattr(ExportFold, "step_write", step_write)
    patch.setattr(ExportFold, "written", written)


@takes_out("8: failures before D are published", "DOUBLED")
def published_failures_are_forgotten_on_reload(patch: Patch) -> None:
    real = ExportFold.take

    def take(self: ExportFold, *rest: Any) -> bool:
        staged = self.staged
        self.staged = replace(staged, dead_letters_to=staged.staged_to)
        try:
            return real(self, *rest)
        finally:
            self.staged = staged

    patch.setattr(ExportFold, "take", take)


@takes_out("9: marks that the ledger does not have hold the group's offset", "DOUBLED", "GAP", near=130)
def an_idle_export_commits(patch: Patch) -> None:
    real = ExportFold.first_unstaged.fget
    assert real is not None

    def first_unstaged(self: ExportFold) -> int | None:
        return None if self.idle and not self.has_closed and not self.has_failures else real(self)

    patch.setattr(ExportFold, "first_unstaged", property(first_unstaged))


@takes_out("9: an offset is committed when the ledger covers it", "LOST", "GAP")
def what_is_taken_is_committed(patch: Patch) -> None:
    patch.setattr(Shell, "commit_offset", lambda self: self.next_offset)


@takes_out("9: an offset is committed when the ledger covers it, the step under way included", "LOST", "GAP")
def the_step_under_way_does_not_hold_the_offset(patch: Patch) -> None:
    patch.setattr(ExportFold, "first_unstaged", property(lambda self: self._first))
