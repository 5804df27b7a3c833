"""Which revisions of an export have nothing on their way any more, so that their tokens may go. Pure.

A revision is over where its sources are taken up to the place from which no event is of it, and all its batches are
imported. A batch that waits for a person may need its token again, so it holds its revision; not that of a deleted
export, or the deletion would never end. A replay is a revision of its own whose end is known from the beginning; it
holds a deleted export. Source: delivery protocol, rules 18 to 21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.api.drafts import LaneResult
from app.model.ledger import BatchRecord, ExportState, Phase
from app.model.receiver import LIVE_LANE, Export, Revision, SourceOffset
from app.model.replay import Replay, ReplayingExport
from app.model.rows import Source

_FOR_A_PERSON = (Phase.UNCLEAR, Phase.EXPIRED)
Marks = Mapping[Source, int]


def may_end(export: Export) -> bool:
    """Whether anything of the export can be over: an earlier mapping, or all of it. Most of the time nothing can."""
    return len(export.revisions) > 1 or export.drain_to is not None or bool(_replays(export))


def ending(export: Export, marks: Marks) -> set[int]:
    """Numbers of the revisions of which no more rows can come, by these marks."""
    numbers = {
        revision.number
        for revision in export.revisions
        if (end := _end(export, revision)) is not None and _reached(export, end, marks)
    }
    return numbers | {replay.revision.number for replay in _replays(export) if is_taken(replay, marks)}


def is_taken(replay: Replay, marks: Marks) -> bool:
    """Whether all of the replay's ranges are taken; a source without a mark is where its range begins."""
    return all(
        marks.get(Source(replay.topic_of(part)[1], part.partition, replay.lane), part.first) >= part.end
        for part in replay.ranges
    )


def over(export: Export, staged: ExportState, batches: Iterable[BatchRecord]) -> tuple[int, ...]:
    """Numbers of the revisions that are over by the ledger; `batches` are those that are not imported.

    The ledger's own marks count: all that lies before them is in recorded slices, so an open window has a batch too.
    """
    ended = ending(export, staged.next_offsets)
    held = {b.revision for b in batches if export.drain_to is None or b.phase not in _FOR_A_PERSON}
    if export.drain_to is not None and _replays(export):
        held.add(export.revision.number)
    return tuple(sorted(ended - held))


def first_of(export: ReplayingExport, source: Source) -> int | None:
    """Where this source of a replay begins; None when the export has no such replay, or none any more."""
    for replay in export.replays:
        if replay.lane == source.lane:
            place = source.topic_id, source.partition
            return next((p.first for p in replay.ranges if (replay.topic_of(p)[1], p.partition) == place), None)
    return None


def lane_results(export: ReplayingExport, staged: ExportState) -> tuple[LaneResult, ...]:
    """What became of the offsets of each replay so far."""
    return tuple(
        LaneResult(
            replay.revision.number,
            sum(mark.rows for mark in staged.marks if mark.source.lane == replay.lane),
            sum(mark.failures for mark in staged.marks if mark.source.lane == replay.lane),
        )
        for replay in export.replays
    )


def _replays(export: Export) -> tuple[Replay, ...]:
    return export.replays if isinstance(export, ReplayingExport) else ()


def _end(export: Export, revision: Revision) -> tuple[SourceOffset, ...] | None:
    """Where events of the revision end; None while there may be more."""
    return export.drain_to if revision.until is None else revision.until


def _reached(export: Export, end: Iterable[SourceOffset], marks: Marks) -> bool:
    """A source without a mark is as far as where the export begins."""
    starts = {(start.topic_id, start.partition): start.offset for start in export.starts}  # once: there may be many

    def taken_to(place: SourceOffset) -> int:
        mark = marks.get(Source(place.topic_id, place.partition, LIVE_LANE))
        return starts.get((place.topic_id, place.partition), 0) if mark is None else mark

    return all(taken_to(place) >= place.offset for place in end)
