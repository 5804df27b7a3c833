"""Which exports take which events of a chunk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.mapper.targets import need_ids, receiver_start, targets
from app.model.conditions import Conditions
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision, SourceOffset

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id-1", 4, 0)
REVISION = Revision(1, Mapping("in.c-b.t", (Column("body", ColumnType.BODY),)), "1", b"", 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (REVISION,), 0)
OFFSETS = list(range(100, 110))


def bounds(receiver: Receiver, export: Export) -> list[tuple[int, int]]:
    return [target.bounds(OFFSETS) for target in targets(receiver, [export], 2, 100, 110)]


def test_export_takes_the_whole_chunk() -> None:
    assert bounds(RECEIVER, EXPORT) == [(0, 10)]


@pytest.mark.parametrize(("start", "expected"), [(90, (0, 10)), (104, (4, 10)), (110, (10, 10)), (200, (10, 10))])
def test_events_before_the_exports_start_are_not_its_own(start: int, expected: tuple[int, int]) -> None:
    export = replace(EXPORT, starts=(SourceOffset("id-1", 2, start),))

    assert bounds(RECEIVER, export) == [expected]


@pytest.mark.parametrize("place", [SourceOffset("id-1", 3, 105), SourceOffset("id-0", 2, 105)])
def test_starts_of_other_partitions_and_topics_do_not_count(place: SourceOffset) -> None:
    assert bounds(replace(RECEIVER, starts=(place,)), replace(EXPORT, starts=(place,))) == [(0, 10)]


def test_receiver_on_a_kept_topic_begins_at_its_start() -> None:
    receiver = replace(RECEIVER, starts=(SourceOffset("id-1", 2, 103),))

    assert receiver_start(receiver, 2) == 103
    assert bounds(receiver, EXPORT) == [(3, 10)]


@pytest.mark.parametrize(
    ("drain_to", "expected"), [(105, [(0, 5)]), (300, [(0, 10)]), (101, [(0, 1)]), (100, []), (7, [])]
)
def test_drained_export_takes_nothing_from_its_end_on(drain_to: int, expected: list[tuple[int, int]]) -> None:
    export = replace(EXPORT, drain_to=(SourceOffset("id-1", 2, drain_to),))

    assert bounds(RECEIVER, export) == expected


def test_ids_are_needed_when_a_column_shows_them() -> None:
    revision = replace(REVISION, mapping=Mapping("in.c-b.t", (Column("id", ColumnType.ID),)))

    assert need_ids(targets(RECEIVER, [EXPORT, replace(EXPORT, revisions=(revision,))], 0, 0, 1))
    assert not need_ids(targets(RECEIVER, [EXPORT], 0, 0, 1))
