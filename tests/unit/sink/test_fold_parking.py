"""The fold of a parked export: what it holds, what its snapshots say, and when it is one of the others again."""

from __future__ import annotations

from envelopes import Outcome, envelope
from test_fold import record_step, take

from app.model.ledger import BatchRecord, ExportState
from app.sink.fold import ExportFold

ROW = Outcome.ROW


def parked(fold: ExportFold) -> ExportFold:
    """What goes on in its place."""
    return ExportFold(fold.park_write().state)


def test_parked_export_is_as_the_ledger_has_it_and_holds_no_offset() -> None:
    fold = ExportFold(ExportState("x"))
    take(fold, 5, envelope(0, [ROW, ROW]))

    again = parked(fold)

    assert again.staged == ExportState("x", parked=True)
    assert (again.position, again.buffered_bytes, again.first_unstaged) == (0, 0, None)


def test_what_is_read_again_holds_no_offset_until_it_is_where_the_others_are() -> None:
    fold = parked(ExportFold(ExportState("x")))
    take(fold, 5, envelope(0, [ROW]))

    before = fold.first_unstaged
    fold.resume()

    assert (before, fold.first_unstaged) == (None, 5)


def test_step_cut_before_the_end_of_catch_up_leaves_the_export_parked() -> None:
    fold, batches = parked(ExportFold(ExportState("x"))), dict[str, BatchRecord]()
    take(fold, 5, envelope(0, [ROW]))
    fold.cut()
    fold.resume()

    early = record_step(fold, batches)
    fold.cut()
    late = record_step(fold, batches)

    assert (early.state.parked, late.state.parked) == (True, False)


def test_end_of_catch_up_is_written_although_nothing_is_new() -> None:
    fold = parked(ExportFold(ExportState("x")))
    assert fold.cut() is None

    fold.resume()
    fold.cut()

    assert not record_step(fold, {}).state.parked
    assert fold.cut() is None
