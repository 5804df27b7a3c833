"""What the sink looks like from outside: sums, ages, and the exports that need a look."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from app.model.ledger import Phase
from app.sink.levels import Trouble, measure

NOW_MS = 1_000_000


def batch(phase: Phase, closed_ms: int | None = None) -> Any:
    return SimpleNamespace(phase=phase, closed_ms=closed_ms)


def export(
    name: str, *batches: Any, parked: bool = False, gap: str | None = None, opened_ms: int | None = None
) -> tuple[str, Any]:
    windows = {} if opened_ms is None else {1: SimpleNamespace(opened_ms=opened_ms)}
    fold = SimpleNamespace(parked=parked, windows=windows, position=40)
    definition = SimpleNamespace(project_id="1", receiver_id="r", export_id=name)
    return name, SimpleNamespace(fold=fold, gap=gap, batches=batches, export=definition)


def owner(*exports: tuple[str, Any]) -> Any:
    clock = SimpleNamespace(now_ms=lambda: NOW_MS)
    return SimpleNamespace(exports=dict(exports), clock=clock, next_offset=100)


def test_batches_are_counted_by_phase_and_every_phase_is_there() -> None:
    one = export("a", batch(Phase.OPEN), batch(Phase.FAILED, 1))
    other = export("b", batch(Phase.OPEN))

    levels = measure([owner(one), owner(other)], 7, 10)

    assert levels.batches == {"open": 2, "closing": 0, "importing": 0, "failed": 1, "unclear": 0, "expired": 0}
    assert (levels.partitions, levels.exports, levels.held_bytes) == (2, 2, 7)


def test_oldest_window_and_batch_tell_the_ages() -> None:
    young = export("a", batch(Phase.OPEN), batch(Phase.IMPORTING, NOW_MS - 2_000), opened_ms=NOW_MS - 1_000)
    old = export("b", batch(Phase.CLOSING, NOW_MS - 9_000), opened_ms=NOW_MS - 5_000)

    levels = measure([owner(old, young)], 0, 10)

    assert (levels.windows, levels.oldest_window_seconds, levels.oldest_batch_seconds) == (2, 5, 9)


def test_sink_without_exports_has_nothing_old() -> None:
    levels = measure([owner()], 0, 10)

    assert (levels.oldest_window_seconds, levels.oldest_batch_seconds, levels.catch_up_lag) == (0, 0, 0)


def test_only_exports_in_trouble_are_named_with_the_worst_of_each_and_the_worst_first() -> None:
    exports = [
        export("well", batch(Phase.OPEN)),
        export("failing", batch(Phase.FAILED)),
        export("parked", batch(Phase.FAILED), parked=True),
        export("unclear", batch(Phase.UNCLEAR), parked=True),
        export("gap", gap="missing"),
    ]

    levels = measure([owner(*exports)], 0, 3)

    assert levels.troubled == (
        ("1/r/gap", Trouble.STOPPED),
        ("1/r/unclear", Trouble.UNCLEAR),
        ("1/r/parked", Trouble.PARKED),
    )
    assert (levels.parked, levels.stopped, levels.catch_up_lag) == (2, 1, 60)
