"""Rules of parking: what is dropped, where reading begins again, and when the export is one of the others again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from model_sink import Shell
from mutation import Patch, takes_out

from app.model.ledger import ExportState
from app.sink.fold import ExportFold
from app.sink.steps import LedgerWrite


@takes_out("12: only a step that was cut after the flip ends parking", "LOST", "GAP", "DOUBLED", near=2180)
def parking_ends_with_the_next_write(patch: Patch) -> None:
    real = ExportFold.step_write

    def step_write(self: ExportFold, *rest: Any) -> LedgerWrite:
        write = real(self, *rest)
        return replace(write, state=replace(write.state, parked=self.parked))

    patch.setattr(ExportFold, "step_write", step_write)


@takes_out("12: parking cancels the step under way", "DOUBLED", "BATCH", "LOST")
def the_step_under_way_goes_on(patch: Patch) -> None:
    def parked_fold(self: Shell, before: ExportFold, state: ExportState) -> ExportFold:
        fold = ExportFold(state)
        fold.step = before.step
        return fold

    patch.setattr(Shell, "parked_fold", parked_fold)


@takes_out("12: catch-up ends where the others are then, not where they were", "LOST", "GAP")
def catch_up_ends_where_the_others_were_at_its_start(patch: Patch) -> None:
    ends: dict[int, int] = {}

    def live_offset(self: Shell) -> int:
        catching_up = [id(fold) for fold in self.folds.values() if fold.parked]
        return min(ends.setdefault(fold, self.next_offset) for fold in catching_up)

    real = Shell.begin_work

    def begin_work(self: Shell, uid: str) -> None:
        ends.pop(id(self.folds[uid]), None)
        real(self, uid)

    patch.setattr(Shell, "live_offset", live_offset)
    patch.setattr(Shell, "begin_work", begin_work)


@takes_out("12: catch-up begins where the ledger ends", "LOST", "GAP")
def catch_up_begins_where_the_group_is(patch: Patch) -> None:
    patch.setattr(Shell, "catch_up_from", lambda self, fold: max(fold.position, self.world.group_offset))


@takes_out("12: the ledger says that the export is parked", "LOST", "GAP")
def parking_is_not_written_down(patch: Patch) -> None:
    def parked_fold(self: Shell, before: ExportFold, state: ExportState) -> ExportFold:
        fold = ExportFold(state)
        fold.parked = True
        return fold

    patch.setattr(ExportFold, "park_write", lambda self: LedgerWrite(self.staged))
    patch.setattr(Shell, "parked_fold", parked_fold)


@takes_out("12: a parked export takes nothing from the others' way", "LOST", "GAP")
def the_others_way_goes_through_a_parked_export(patch: Patch) -> None:
    def take(self: Shell) -> None:
        self.fold_at(self.next_offset)
        self.next_offset += 1

    patch.setattr(Shell, "take", take)
