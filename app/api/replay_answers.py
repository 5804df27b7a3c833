"""Replays as the API shows them: their range, how far they are, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping

from app.api.answers import Answer
from app.model.replay import OffsetRange, Replay, mapping_number
from app.model.task import iso_time


class ReplayRangeAnswer(Answer):
    """Offsets of one partition, from `first` to before `end`; those before `mapped_to` are mapped.

    Of a replay that was cancelled only batches tell how far that is. `topic` is there where the replay is of several.
    """

    topic: str | None = None
    partition: int
    first: int
    end: int
    mapped_to: int | None = None


class ReplayAnswer(Answer):
    """`rows`, `failures` and `skipped` are there when it is finished, `note` when not all of it could be mapped."""

    id: str
    kind: str
    state: str
    table_id: str
    revision: int
    reason: str | None = None
    created_at: str
    finished_at: str | None = None
    cancelled_at: str | None = None
    topic: str
    ranges: list[ReplayRangeAnswer]
    offsets: int
    mapped: int | None = None
    rows: int | None = None
    failures: int | None = None
    skipped: int | None = None
    note: str | None = None


class ReplaysAnswer(Answer):
    replays: list[ReplayAnswer]


def show_replay(replay: Replay, mapped_to: Mapping[tuple[str, int], int]) -> ReplayAnswer:
    """`mapped_to` says, by topic and partition, up to where it is mapped; what is not there has not begun."""

    def reached(part: OffsetRange) -> int:
        to = mapped_to.get((replay.topic_of(part)[0], part.partition), part.first)
        return part.end if replay.is_finished else min(part.end, max(part.first, to))

    places = {part: reached(part) for part in replay.ranges}
    mapped = sum(place - part.first for part, place in places.items())
    return ReplayAnswer(
        id=replay.lane,
        kind=replay.kind.value,
        state=_state(replay, mapped),
        table_id=replay.revision.mapping.table_id,
        revision=mapping_number(replay.revision.number),
        reason=replay.reason,
        created_at=iso_time(replay.created_ms),
        finished_at=None if replay.finished_ms is None else iso_time(replay.finished_ms),
        cancelled_at=None if replay.cancelled_ms is None else iso_time(replay.cancelled_ms),
        topic=replay.topic,
        ranges=[
            ReplayRangeAnswer(
                topic=part.topic,
                partition=part.partition,
                first=part.first,
                end=part.end,
                mapped_to=None if replay.is_cancelled else places[part],
            )
            for part in replay.ranges
        ],
        offsets=replay.count,
        mapped=None if replay.is_cancelled else mapped,
        rows=replay.rows,
        failures=replay.failures,
        skipped=replay.skipped,
        note=replay.note,
    )


def _state(replay: Replay, mapped: int) -> str:
    if replay.is_cancelled:
        return "cancelled" if replay.is_finished else "cancelling"
    if replay.is_finished:
        return "finished"
    return "importing" if mapped == replay.count else "mapping"
