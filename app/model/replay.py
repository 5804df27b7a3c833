"""Replays: a range of retained events of one export that is mapped again, on a lane of its own. Pure.

A replay's rows are of a revision of its own, with the mapping as it was when the replay began, the table that they go
to and a token. So its windows, batches and token are apart from those of events as they arrive, and whoever asks an
export for that revision is given it (`with_replays`). Source: delivery protocol, rules 21 and 22.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from enum import StrEnum

from app.model.receiver import Export, Revision

LANE_STEP = 100_000
"""Numbers of revisions below this one are those of events as they arrive."""


KEPT_REPLAYS = 100
"""Replays of an export that the control log keeps in any case, the newest ones: as many as are shown."""


class ReplayKind(StrEnum):
    REPLAY = "replay"
    """A range of time of the receiver's topic, asked for by a person."""
    REQUEUE = "requeue"
    """The export's dead letters: the source is their topic, and each letter is turned back into its event."""
    RESUME = "resume"
    """What came while the export was suspended."""


@dataclass(frozen=True)
class OffsetRange:
    """Offsets of one partition, from `first` to before `end`; of a replay of several topics also of which one."""

    partition: int
    first: int
    end: int
    topic: str | None = None
    topic_id: str | None = None

    @property
    def count(self) -> int:
        return max(0, self.end - self.first)


@dataclass(frozen=True)
class Replay:
    """One replay. `lane` is minted and never used again.

    Events are those of `ranges` in the topic `topic` with the id `topic_id`, found out once; the processes that own the
    partitions of `receiver_topic` read them. Where `topic` is a pattern, the ranges name their topics, and who owns the
    partitions of these reads them. `revision` is its own (see `lane_number`). `begun_by` is the token,
    encrypted, of who began it. `reason` is of a requeue: only letters with this reason. `finished_ms` is there once all
    of it is in the table; then `rows`, `failures` and `skipped` say what became of its offsets, and `note`, if there is
    one, why not all of them were mapped. From `cancelled_ms` on no more of it is.
    """

    lane: str
    kind: ReplayKind
    project_id: str
    receiver_id: str
    export_id: str
    export_uid: str
    revision: Revision
    receiver_topic: str
    topic: str
    topic_id: str
    ranges: tuple[OffsetRange, ...]
    created_ms: int
    begun_by: bytes
    reason: str | None = None
    finished_ms: int | None = None
    rows: int | None = None
    failures: int | None = None
    skipped: int | None = None
    note: str | None = None
    cancelled_ms: int | None = None

    @property
    def is_cancelled(self) -> bool:
        return self.cancelled_ms is not None

    @property
    def is_finished(self) -> bool:
        return self.finished_ms is not None

    def topic_of(self, part: OffsetRange) -> tuple[str, str]:
        """Name and id of the topic that one of its ranges is of."""
        return part.topic or self.topic, part.topic_id or self.topic_id

    @property
    def count(self) -> int:
        """Offsets of the source in all its ranges: no fewer than there are events."""
        return sum(part.count for part in self.ranges)


@dataclass(frozen=True)
class ReplayingExport(Export):
    """An export as it is, with its replays that are not finished: their revisions are found by number too."""

    replays: tuple[Replay, ...] = ()

    def find_revision(self, number: int) -> Revision | None:
        if not is_lane_number(number):
            return super().find_revision(number)
        return next((replay.revision for replay in self.replays if replay.revision.number == number), None)


def with_replays(export: Export, replays: Collection[Replay]) -> ReplayingExport:
    """The export together with those of its replays that are not finished."""
    known = {part.name: getattr(export, part.name) for part in fields(Export)}
    return ReplayingExport(**known, replays=tuple(replay for replay in replays if not replay.is_finished))


def forgettable(replays: Collection[Replay], now_ms: int, kept_ms: int) -> list[Replay]:
    """Those of an export's replays that may go from the control log.

    The newest stay, and with them the last number, so that none comes twice. Of the others those stay that are not
    finished, and those from whose time (`kept_ms`) there may be dead letters: which of these a requeue is of follows
    from all replays before it. Marks, skipped offsets and batches know only replays that are not finished.
    """
    older = sorted(replays, key=lambda replay: replay.revision.number)[:-KEPT_REPLAYS]
    return [r for r in older if r.finished_ms is not None and now_ms - r.finished_ms > kept_ms]


def lane_number(replays: Collection[Replay], mapping_number: int) -> int:
    """The number of the revision that a new replay is of, after these replays of the export, finished ones included.

    It tells the revision from which the mapping was taken.

    >>> lane_number([], 7)
    100007
    """
    last = max((replay.revision.number // LANE_STEP for replay in replays), default=0)
    return (last + 1) * LANE_STEP + mapping_number


def is_lane_number(number: int) -> bool:
    """Whether a revision with this number is a replay's."""
    return number >= LANE_STEP


def mapping_number(number: int) -> int:
    """The number of the export's revision whose mapping it is.

    >>> mapping_number(7), mapping_number(100007)
    (7, 7)
    """
    return number % LANE_STEP


def lane_of(number: int) -> int:
    """Equal for revisions whose batches are imported in order; 0 is that of events as they arrive."""
    return number // LANE_STEP


def replay_key(export_uid: str, lane: str) -> str:
    """The key of a replay in the control log."""
    return f"{export_uid}/{lane}"
