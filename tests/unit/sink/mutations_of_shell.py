"""Rules of the sink's shell: the ledger and its fence, files, imports, the end of a revision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from model import Simulation
from model_sink import Shell, Task
from model_world import BatchKey, World
from mutation import Patch, takes_out

from app.model.ledger import BatchRecord, Mark, Phase, StagedFile
from app.sink import importing, retiring
from app.sink.fold import ExportFold
from app.sink.importing import Act
from app.sink.steps import LedgerWrite

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

    def write(self: Shell, *rest: Any, **named: Any) -> None:
        self.epoch = self.world.epoch
        real(self, *rest, **named)

    patch.setattr(Shell, "write", write)


@takes_out("11: the ledger is read after the fence", "LOST", "DOUBLED", "BATCH", near=80)
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


@takes_out("9: an owner that starts again reads from the group's offset", "GAP", "LOST", near=180)
def an_owner_that_starts_again_reads_on(patch: Patch) -> None:
    real = Simulation.on_fenced

    def on_fenced(self: Simulation) -> None:
        fenced = self.sink
        real(self)
        if fenced is not None and self.sink is not None and fenced.next_offset:
            patch.setattr(self.sink, "start_offset", lambda: fenced.next_offset)

    patch.setattr(Simulation, "on_fenced", on_fenced)


# The shell: files


@takes_out("10: a slice's name is unique for each upload", "LOST", "DOUBLED", "BATCH", near=1795)
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

    def next_act(record: BatchRecord, now_ms: int, **more: Any) -> Act:
        act = real_act(record, now_ms, **more)
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

    def next_act(record: BatchRecord, now_ms: int, **more: Any) -> Act:
        act = real(record, now_ms, **more)
        return Act.BEGIN if act in (Act.LOOK_UP, Act.COPY, Act.DELETE_FIRST) else act

    real_begun = importing.begun
    patch.setattr(importing, "next_act", next_act)
    patch.setattr(importing, "begun", lambda record, now_ms: real_begun(replace(record, attempts=()), now_ms))


@takes_out("14: a look-up matches no job of an earlier attempt", "DOUBLED", "POSTED-TWICE", near=350)
def jobs_of_settled_attempts_are_adopted(patch: Patch) -> None:
    patch.setattr(importing, "known_jobs", lambda record: frozenset())


@takes_out("18: a file whose credentials have ended is replaced only if it was never posted", "DOUBLED", "POSTED-TWICE")
def a_posted_file_is_replaced_just_so(patch: Patch) -> None:
    real = importing.next_act

    def next_act(record: BatchRecord, now_ms: int, **more: Any) -> Act:
        act = real(record, now_ms, **more)
        return Act.REFILE if act in (Act.LOOK_UP, Act.COPY) else act

    def refiled(record: BatchRecord, file: StagedFile) -> BatchRecord:
        return replace(record, file=file, attempts=(), phase=Phase.CLOSING)

    patch.setattr(importing, "next_act", next_act)
    patch.setattr(importing, "refiled", refiled)


@takes_out("15: the first file is deleted before the second is posted", "DOUBLED", "POSTED-TWICE")
def the_first_file_is_kept(patch: Patch) -> None:
    patch.setattr(Shell, "delete", lambda self, file: None)


@takes_out("15: jobs are looked up once more after the deletion", "DOUBLED", "POSTED-TWICE", near=55)
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


@takes_out("15: what failed is tried again from the second file", "STUCK", near=700)
def a_failed_import_goes_back_to_the_first_file(patch: Patch) -> None:
    real = importing.job_failed

    def job_failed(record: BatchRecord, *rest: Any, **more: Any) -> BatchRecord:
        return replace(real(record, *rest, **more), file=record.file)

    patch.setattr(importing, "job_failed", job_failed)


@takes_out("16: an error of an unknown kind needs a person where there is no key", "DOUBLED", near=135)
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
