"""What the model must find: each entry takes one rule out of the real code or out of the order of the shell's steps.

`python tests/unit/sink/mutations.py SECONDS [NAME ...]` prints how often the model finds each, to set the budgets by.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from model import Simulation, simulate
from model_mapper import Mapper
from model_sink import Shell, Task
from model_world import BatchKey, World

from app.model.ledger import BatchRecord, Mark, Phase, StagedFile
from app.model.rows import Rows
from app.sink import importing, retiring
from app.sink.fold import ExportFold, LedgerWrite, PendingFailure, Step
from app.sink.importing import Act

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutation:
    """A rule that is out, and the kinds of violation that may show it."""

    name: str
    rule: str
    finds: frozenset[str]
    apply: Callable[[Patch], None]


MUTATIONS: list[Mutation] = []


def takes_out(rule: str, *finds: str) -> Callable[[Callable[[Patch], None]], None]:
    def register(apply: Callable[[Patch], None]) -> None:
        MUTATIONS.append(Mutation(apply.__name__, rule, frozenset(finds), apply))

    return register


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


@takes_out("9: marks that the ledger does not have hold the group's offset", "DOUBLED", "GAP")
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


# The shell: ledger


@takes_out("8: slices, closings, dead letters and snapshot in one transaction", "LOST", "DOUBLED", "BATCH", "CRASH")
def a_step_writes_in_two_transactions(patch: Patch) -> None:
    def write_step(self: Shell, write: LedgerWrite) -> Task:
        self.write((), write)
        yield
        self.write(write.batches)
        yield

    patch.setattr(Shell, "write_step", write_step)


@takes_out("8: steps and dead letters are written one at a time", "LOST", "DOUBLED", "BATCH")
def two_writes_of_an_export_at_once(patch: Patch) -> None:
    def lock(self: Shell, uid: str) -> Task:
        yield

    patch.setattr(Shell, "lock", lock)


@takes_out("8: a time close reaches the ledger with the last row's step", "LOST", "BATCH", "CRASH")
def a_batch_closes_before_its_last_rows(patch: Patch) -> None:
    def on_time_close(self: Shell, fold: ExportFold) -> None:
        for batch_id in fold._closed:
            record = self.batches.get((fold.staged.export_uid, batch_id))
            if record is not None and record.phase is Phase.OPEN:
                self.put(replace(record, phase=Phase.CLOSING, closed_by="time"))

    patch.setattr(Shell, "on_time_close", on_time_close)


@takes_out("11: a write of a former owner fails", "LOST", "DOUBLED", "BATCH", "POSTED-TWICE")
def nobody_is_fenced(patch: Patch) -> None:
    real = Shell.write

    def write(self: Shell, *rest: Any) -> None:
        self.epoch = self.world.epoch
        real(self, *rest)

    patch.setattr(Shell, "write", write)


@takes_out("11: the ledger is read after the fence", "LOST", "DOUBLED", "BATCH")
def the_ledger_is_read_before_the_fence(patch: Patch) -> None:
    def open_ledger(self: Shell) -> Task:
        self.load()
        yield from self.pause()
        self.fence()
        yield from self.pause()

    patch.setattr(Shell, "open_ledger", open_ledger)


@takes_out("11: a fenced owner whose membership holds starts again", "STUCK")
def a_fenced_owner_drops_the_partition(patch: Patch) -> None:
    def on_fenced(self: Simulation) -> None:
        self.sink = None

    patch.setattr(Simulation, "on_fenced", on_fenced)


@takes_out("9: an owner that starts again reads from the group's offset", "GAP", "LOST")
def an_owner_that_starts_again_reads_on(patch: Patch) -> None:
    real = Simulation.on_fenced

    def on_fenced(self: Simulation) -> None:
        fenced = self.sink
        real(self)
        if fenced is not None and self.sink is not None and fenced.next_offset:
            patch.setattr(self.sink, "start_offset", lambda: fenced.next_offset)

    patch.setattr(Simulation, "on_fenced", on_fenced)


# The shell: files


@takes_out("10: a slice's name is unique for each upload", "LOST", "DOUBLED", "BATCH")
def slice_names_are_used_again(patch: Patch) -> None:
    patch.setattr(Shell, "slice_name", lambda self, record: str(len(record.slices) if record else 0))


@takes_out("10: the manifest is written when the list is final", "LOST", "DOUBLED")
def the_manifest_is_written_as_slices_are_uploaded(patch: Patch) -> None:
    def on_uploaded(self: Shell, file: StagedFile, name: str) -> None:
        found = self.world.files[file.file_id]
        found.manifest = [*(found.manifest or []), name]

    patch.setattr(Shell, "on_uploaded", on_uploaded)
    patch.setattr(Shell, "write_manifest", lambda self, record: None)


# Importing


@takes_out("13: the attempt is in the ledger before the POST", "DOUBLED", "POSTED-TWICE")
def the_post_comes_before_its_record(patch: Patch) -> None:
    def begin(self: Shell, key: BatchKey) -> Task:
        record = self.batches[key]
        self.write_manifest(record)
        yield
        answer = self.world.post(record.file.file_id, key, record.table_id)
        yield
        self.put(importing.begun(record, self.world.now_ms))
        yield
        self.take_answer(self.batches[key], answer)

    patch.setattr(Shell, "begin", begin)


@takes_out("15: the same file is never posted while an attempt is unsettled", "DOUBLED", "POSTED-TWICE")
def the_same_file_is_posted_again(patch: Patch) -> None:
    real_act, real_begun = importing.next_act, importing.begun

    def next_act(record: BatchRecord, now_ms: int, *, grace_over: bool) -> Act:
        act = real_act(record, now_ms, grace_over=grace_over)
        return Act.BEGIN if act is Act.COPY else act

    def begun(record: BatchRecord, now_ms: int) -> BatchRecord:
        return replace(real_begun(replace(record, attempts=()), now_ms), attempts=(*record.attempts, _attempt(record)))

    def _attempt(record: BatchRecord) -> Any:
        return real_begun(replace(record, attempts=()), 0).attempts[0]

    patch.setattr(importing, "next_act", next_act)
    patch.setattr(importing, "begun", begun)


@takes_out("13: a POST whose answer was lost is looked up", "DOUBLED", "POSTED-TWICE")
def an_unclear_post_is_posted_again_at_once(patch: Patch) -> None:
    real = importing.next_act

    def next_act(record: BatchRecord, now_ms: int, *, grace_over: bool) -> Act:
        act = real(record, now_ms, grace_over=grace_over)
        return Act.BEGIN if act in (Act.LOOK_UP, Act.COPY, Act.DELETE_FIRST) else act

    real_begun = importing.begun
    patch.setattr(importing, "next_act", next_act)
    patch.setattr(importing, "begun", lambda record, now_ms: real_begun(replace(record, attempts=()), now_ms))


@takes_out("14: a look-up matches no job of an earlier attempt", "DOUBLED", "POSTED-TWICE")
def jobs_of_settled_attempts_are_adopted(patch: Patch) -> None:
    patch.setattr(importing, "known_jobs", lambda record: frozenset())


@takes_out("15: the first file is deleted before the second is posted", "DOUBLED", "POSTED-TWICE")
def the_first_file_is_kept(patch: Patch) -> None:
    patch.setattr(Shell, "delete", lambda self, file: None)


@takes_out("15: jobs are looked up once more after the deletion", "DOUBLED", "POSTED-TWICE")
def nobody_looks_after_the_deletion(patch: Patch) -> None:
    def move(self: Shell, key: BatchKey) -> Task:
        self.delete(self.batches[key].file)
        yield
        self.put(importing.moved(self.batches[key], self.world.now_ms))
        yield
        yield from self.post(self.batches[key])

    patch.setattr(Shell, "move", move)


@takes_out("15: the second file is in the ledger before the first is deleted", "LOST", "STUCK")
def the_first_file_is_deleted_before_the_second_is_recorded(patch: Patch) -> None:
    real = Shell.copy

    def copy(self: Shell, key: BatchKey) -> Task:
        yield from _deleting(self, key, real(self, key))

    def _deleting(shell: Shell, key: BatchKey, task: Task) -> Task:
        next(task)
        next(task)
        shell.delete(shell.batches[key].file)
        yield
        yield from task

    patch.setattr(Shell, "copy", copy)


@takes_out("15: what failed is tried again from the second file", "STUCK")
def a_failed_import_goes_back_to_the_first_file(patch: Patch) -> None:
    real = importing.job_failed

    def job_failed(record: BatchRecord, *rest: Any, **more: Any) -> BatchRecord:
        return replace(real(record, *rest, **more), file=record.file)

    patch.setattr(importing, "job_failed", job_failed)


@takes_out("16: an error of an unknown kind needs a person where there is no key", "DOUBLED")
def every_failed_job_is_tried_again(patch: Patch) -> None:
    real = importing.job_failed

    def job_failed(record: BatchRecord, code: str | None, message: str, *, has_key: bool, retry_ms: int) -> BatchRecord:
        return real(record, code, message, has_key=True, retry_ms=retry_ms)

    patch.setattr(importing, "job_failed", job_failed)


# Retiring


@takes_out("18: a token lives until the last batch of its revision is terminal", "RETIRED")
def a_revision_with_a_batch_on_its_way_is_retired(patch: Patch) -> None:
    real = retiring.over
    patch.setattr(retiring, "over", lambda export, staged, batches: real(export, staged, ()))


@takes_out("18: what the ledger does not have is on its way", "RETIRED")
def marks_that_the_ledger_does_not_have_end_a_revision(patch: Patch) -> None:
    def over(self: Shell, uid: str) -> Sequence[int]:
        fold = self.folds[uid]
        marks = tuple(Mark(source, offset) for source, offset in fold.marks.items())
        busy = [r for r in self.batches.values() if r.export_uid == uid and r.phase not in importing.TERMINAL]
        return retiring.over(self.world.exports[uid].definition(), replace(fold.staged, marks=marks), busy)

    patch.setattr(Shell, "over", over)


@takes_out("20: where events end is asked for after their end is in force", "RETIRED")
def the_end_of_a_mapping_is_asked_for_too_early(patch: Patch) -> None:
    def ends_of_events(self: World) -> tuple[int, ...]:
        return tuple(max(0, len(events) - 1) for events in self.events)

    patch.setattr(World, "ends_of_events", ends_of_events)


def find(mutation: Mutation, seeds: range) -> int | None:
    """The first seed with a violation of the mutation's kinds; None when no seed has one."""
    with pytest.MonkeyPatch.context() as patch:
        mutation.apply(patch)
        return next((seed for seed in seeds if violated(seed) & mutation.finds), None)


def violated(seed: int) -> set[str]:
    """Kinds of the seed's violations; CRASH for an error inside the core."""
    try:
        return {text.split()[0] for text in simulate(seed)}
    except (LookupError, RuntimeError):
        return {"CRASH"}


def _measure(seconds: float, names: Sequence[str]) -> None:
    for mutation in MUTATIONS:
        if names and mutation.name not in names:
            continue
        kinds: Counter[str] = Counter()
        seeds, found, first = 0, 0, None
        end = time.monotonic() + seconds
        with pytest.MonkeyPatch.context() as patch:
            mutation.apply(patch)
            while time.monotonic() < end:
                kinds_of_seed = violated(seeds)
                kinds.update(kinds_of_seed)
                if kinds_of_seed & mutation.finds:
                    found += 1
                    first = seeds if first is None else first
                seeds += 1
        share = 100 * found / seeds
        sys.stdout.write(f"{mutation.name:58} {found:5}/{seeds:5} {share:6.2f}% first {first} {dict(kinds)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _measure(float(sys.argv[1]), sys.argv[2:])
