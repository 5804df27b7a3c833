"""Rules of replays: marks, windows and an end of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from model_mapper import Mapper
from model_sink import Shell
from mutation import Patch, takes_out

from app.model.ledger import Mark
from app.model.receiver import LIVE_LANE
from app.model.replay import is_lane_number
from app.model.rows import Rows
from app.sink import importing, retiring
from app.sink.fold import ExportFold


@takes_out("21: a replay has marks of its own", "LOST", "GAP")
def replays_share_the_marks_of_the_events_as_they_arrive(patch: Patch) -> None:
    real = ExportFold.take

    def take(self: ExportFold, position: int, rows: Rows, *rest: Any) -> bool:
        return real(self, position, replace(rows, source=replace(rows.source, lane=LIVE_LANE)), *rest)

    patch.setattr(ExportFold, "take", take)


@takes_out("21: a replay is over when the ledger has its last row", "LOST", "STUCK", "RETIRED")
def a_replay_is_over_when_its_last_row_is_taken(patch: Patch) -> None:
    def over(self: Shell, uid: str) -> Sequence[int]:
        fold, export = self.folds[uid], self.world.exports[uid].definition()
        marks = tuple(Mark(source, offset) for source, offset in fold.marks.items())
        busy = [r for r in self.batches.values() if r.export_uid == uid and r.phase not in importing.TERMINAL]
        taken = retiring.over(export, replace(fold.staged, marks=marks), busy)
        return [*retiring.over(export, fold.staged, busy), *filter(is_lane_number, taken)]

    patch.setattr(Shell, "over", over)


@takes_out("18: a replay's token lives until its last batch is terminal", "RETIRED")
def a_replay_is_over_when_its_last_row_is_staged(patch: Patch) -> None:
    real = retiring.over

    def over(export: Any, staged: Any, batches: Any) -> tuple[int, ...]:
        staged_numbers = filter(is_lane_number, retiring.ending(export, staged.next_offsets))
        return tuple({*real(export, staged, batches), *staged_numbers})

    patch.setattr(retiring, "over", over)


@takes_out("21: what comes of a replay that is over is dropped", "DOUBLED", "RETIRED")
def what_comes_of_a_replay_that_is_over_is_taken(patch: Patch) -> None:
    patch.setattr(Shell, "lane_first", lambda self, rows: rows.base)


@takes_out("21: a replay's windows end with its last row", "STUCK")
def windows_of_a_replay_wait_for_their_conditions(patch: Patch) -> None:
    patch.setattr(ExportFold, "close_revision", lambda self, revision, reason: None)
    real = ExportFold.close_due

    def close_due(self: ExportFold, now_ms: int, conditions: Any) -> bool:
        live = {key: window for key, window in self.windows.items() if not is_lane_number(key[0])}
        others = {key: window for key, window in self.windows.items() if is_lane_number(key[0])}
        self.windows = live
        due = real(self, now_ms, conditions)
        self.windows = {**self.windows, **others}
        return due

    patch.setattr(ExportFold, "close_due", close_due)


@takes_out("3: a block of a replay is written down when it is delivered", "LOST", "GAP", "STUCK")
def a_block_is_written_down_before_it_is_delivered(patch: Patch) -> None:
    def deliver_block(self: Mapper, queue: list[Rows], key: tuple[str, int], end: int) -> Iterator[None]:
        self.world.lane_offsets[key] = end
        while queue:
            self.send(queue)
            yield

    patch.setattr(Mapper, "deliver_block", deliver_block)
