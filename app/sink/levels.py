"""How full the sink is at a moment, looked at from outside when somebody asks: what waits, for how long, what is wrong.

There is no number for every export: an installation may have thousands. Those that need a person are named, the worst
first, up to a bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice

from app.model.ledger import BatchRecord, Phase
from app.sink.export import ExportOwner
from app.sink.partition import PartitionOwner

UNFINISHED = tuple(phase for phase in Phase if phase is not Phase.IMPORTED)


class Trouble(IntEnum):
    """What is wrong with an export, the worst first."""

    STOPPED = 0
    """Envelopes are missing."""
    UNCLEAR = 1
    EXPIRED = 2
    PARKED = 3
    FAILED = 4


_BY_PHASE = {Phase.UNCLEAR: Trouble.UNCLEAR, Phase.EXPIRED: Trouble.EXPIRED, Phase.FAILED: Trouble.FAILED}


@dataclass(frozen=True, slots=True)
class Levels:
    """Of the partitions that this sink owns. Ages by the broker's clock, 0 where there is nothing."""

    partitions: int
    exports: int
    parked: int
    stopped: int
    held_bytes: int
    windows: int
    oldest_window_seconds: float
    oldest_batch_seconds: float
    """Since the window ended of the batch that waits for its import for longest."""
    catch_up_lag: int
    """Records of its rows partition that the furthest behind of the parked exports has to read again."""
    batches: Counter[str]
    troubled: tuple[tuple[str, Trouble], ...]
    """Exports ("<project>/<receiver>/<export>") that need a look."""


def measure(owners: Iterable[PartitionOwner], held_bytes: int, most_named: int) -> Levels:
    """Look at all exports of these partitions."""
    partitions = exports = parked = stopped = windows = lag = 0
    oldest_window = oldest_batch = 0
    phases: Counter[str] = Counter(dict.fromkeys(UNFINISHED, 0))
    troubled: list[tuple[Trouble, str]] = []
    for owner in owners:
        partitions += 1
        for export in list(owner.exports.values()):
            now_ms, batches = owner.clock.now_ms(), export.batches
            open_windows = list(export.fold.windows.values())
            exports += 1
            parked += export.fold.parked
            stopped += export.gap is not None
            windows += len(open_windows)
            phases.update(batch.phase for batch in batches)
            oldest_window = max([oldest_window, *(now_ms - window.opened_ms for window in open_windows)])
            oldest_batch = max([oldest_batch, *(now_ms - batch.closed_ms for batch in batches if batch.closed_ms)])
            if export.fold.parked:
                lag = max(lag, (owner.next_offset or 0) - export.fold.position)
            trouble = _trouble(export, batches)
            if trouble is not None:
                definition = export.export
                name = f"{definition.project_id}/{definition.receiver_id}/{definition.export_id}"
                troubled.append((trouble, name))
    named = tuple((name, trouble) for trouble, name in islice(sorted(troubled), most_named))
    return Levels(
        partitions,
        exports,
        parked,
        stopped,
        held_bytes,
        windows,
        oldest_window / 1000,
        oldest_batch / 1000,
        lag,
        phases,
        named,
    )


def _trouble(export: ExportOwner, batches: Iterable[BatchRecord]) -> Trouble | None:
    found = [_BY_PHASE[batch.phase] for batch in batches if batch.phase in _BY_PHASE]
    if export.gap is not None:
        found.append(Trouble.STOPPED)
    if export.fold.parked:
        found.append(Trouble.PARKED)
    return min(found, default=None)
