"""Replays as the API shows them: their range, how far they are, and what came of them."""

from __future__ import annotations

from collections.abc import Mapping

from app.api.answers import Answer
from app.model.replay import Replay, mapping_number
from app.model.task import iso_time


class ReplayRangeAnswer(Answer):
    """Offsets of one partition, from `first` to before `end`; those before `mapped_to` are mapped."""

    partition: int
    first: int
    end: int
    mapped_to: int


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
    topic: str
    ranges: list[ReplayRangeAnswer]
    offsets: int
    mapped: int
    rows: int | None = None
    failures: int | None = None
    skipped: int | None = None
    note: str | None = None


class ReplaysAnswer(Answer):
    replays: list[ReplayAnswer]


def show_replay(replay: Replay, mapped_to: Mapping[int, int]) -> ReplayAnswer:
    """`mapped_to` says, by partition, up to where it is mapped; a partition that is not there has not begun."""

    def reached(partition: int, first: int, end: int) -> int:
        return end if replay.is_finished else min(end, max(first, mapped_to.get(partition, first)))

    ranges = [
        ReplayRangeAnswer(
            partition=part.partition,
            first=part.first,
            end=part.end,
            mapped_to=reached(part.partition, part.first, part.end),
        )
        for part in replay.ranges
    ]
    mapped = sum(part.mapped_to - part.first for part in ranges)
    running = "importing" if mapped == replay.count else "mapping"
    return ReplayAnswer(
        id=replay.lane,
        kind=replay.kind.value,
        state="finished" if replay.is_finished else running,
        table_id=replay.revision.mapping.table_id,
        revision=mapping_number(replay.revision.number),
        reason=replay.reason,
        created_at=iso_time(replay.created_ms),
        finished_at=None if replay.finished_ms is None else iso_time(replay.finished_ms),
        topic=replay.topic,
        ranges=ranges,
        offsets=replay.count,
        mapped=mapped,
        rows=replay.rows,
        failures=replay.failures,
        skipped=replay.skipped,
        note=replay.note,
    )
