"""When nothing is on its way any more for a revision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.api.drafts import LaneResult
from app.model.conditions import Conditions
from app.model.ledger import BatchRecord, ExportState, Mark, Phase, StagedFile
from app.model.receiver import LIVE_LANE, Export, Mapping, Revision, SourceOffset
from app.model.replay import OffsetRange, Replay, ReplayingExport, ReplayKind, with_replays
from app.model.rows import Source
from app.sink.retiring import ending, first_of, lane_results, over

FIRST = Revision(1, Mapping("in.c-b.t", ()), "1", b"", 0, (SourceOffset("id", 0, 10), SourceOffset("id", 1, 20)))
SECOND = replace(FIRST, number=2, until=None)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (FIRST, SECOND), 0)


def sources(*offsets: int) -> dict[Source, int]:
    return {Source("id", partition, LIVE_LANE): offset for partition, offset in enumerate(offsets)}


def state(*offsets: int) -> ExportState:
    return ExportState("e", 5, 5, tuple(Mark(source, offset) for source, offset in sources(*offsets).items()))


def batch(revision: int, phase: Phase = Phase.IMPORTING) -> BatchRecord:
    return BatchRecord("e", "b", revision, "in.c-b.t", True, phase, 0, "run", StagedFile("1", 0, 0, b""))


@pytest.mark.parametrize(
    ("offsets", "expected"), [((10, 20), {1}), ((99, 99), {1}), ((9, 20), set()), ((10, 19), set())]
)
def test_revision_ends_where_all_its_sources_are_taken_to_their_end(
    offsets: tuple[int, int], expected: set[int]
) -> None:
    assert ending(EXPORT, sources(*offsets)) == expected


def test_source_that_was_never_taken_is_as_far_as_where_the_export_begins() -> None:
    export = replace(EXPORT, starts=FIRST.until or ())

    assert ending(export, {}) == {1}
    assert ending(EXPORT, {}) == set()


def test_end_of_many_sources_is_looked_for_in_one_pass_over_where_the_export_begins() -> None:
    class Counted(tuple[SourceOffset, ...]):
        passes = 0

        def __iter__(self) -> Iterator[SourceOffset]:
            Counted.passes += 1
            return super().__iter__()

    end = tuple(SourceOffset("id", partition, 10) for partition in range(50))

    ending(replace(EXPORT, starts=Counted(end), revisions=(replace(FIRST, until=end), SECOND)), {})

    assert Counted.passes == 1


def test_revision_whose_end_is_not_known_goes_on() -> None:
    export = replace(EXPORT, revisions=(replace(FIRST, until=None), SECOND))

    assert ending(export, sources(99, 99)) == set()


def test_deleted_export_ends_with_all_its_revisions() -> None:
    export = replace(EXPORT, revisions=(replace(FIRST, until=None), SECOND), drain_to=(SourceOffset("id", 0, 30),))

    assert ending(export, sources(30, 0)) == {1, 2}
    assert ending(export, sources(29, 99)) == set()


def test_export_of_a_topic_that_is_gone_has_nothing_to_wait_for() -> None:
    assert ending(replace(EXPORT, drain_to=()), {}) == {2}


@pytest.mark.parametrize(("revision", "expected"), [(1, ()), (2, (1,))])
def test_revision_with_a_batch_on_its_way_is_not_over(revision: int, expected: tuple[int, ...]) -> None:
    assert over(EXPORT, state(10, 20), [batch(revision)]) == expected


@pytest.mark.parametrize("phase", [Phase.UNCLEAR, Phase.EXPIRED])
def test_batch_that_waits_for_a_person_holds_its_revision_until_the_export_is_deleted(phase: Phase) -> None:
    deleted = replace(EXPORT, drain_to=SECOND.until or (SourceOffset("id", 0, 10),))

    assert over(EXPORT, state(10, 20), [batch(1, phase)]) == ()
    assert over(deleted, state(10, 20), [batch(1, phase)]) == (1, 2)


def test_only_what_the_ledger_has_counts() -> None:
    assert over(EXPORT, state(10, 19), []) == ()


def replaying(*, drain_to: tuple[SourceOffset, ...] | None = None) -> ReplayingExport:
    """The export in force with a replay of two partitions."""
    names = ("lane", ReplayKind.REPLAY, "1", "a", "e", "e")
    ranges = (OffsetRange(0, 5, 9), OffsetRange(1, 3, 3))
    revision = replace(SECOND, number=100_002)
    replay = Replay(*names, revision, "topic", "topic", "id", ranges, 0, b"")
    return with_replays(replace(EXPORT, revisions=(SECOND,), drain_to=drain_to), [replay])


def lane_state(offset: int) -> ExportState:
    return ExportState("e", 5, 5, (Mark(Source("id", 0, "lane"), offset, 3, 1),))


def test_replay_is_over_when_all_its_ranges_are_taken() -> None:
    assert over(replaying(), lane_state(9), []) == (100_002,)
    assert over(replaying(), lane_state(8), []) == ()
    assert over(replaying(), state(99, 99), []) == ()


@pytest.mark.parametrize("phase", [Phase.IMPORTING, Phase.FAILED, Phase.UNCLEAR, Phase.EXPIRED])
def test_replay_waits_for_its_batches(phase: Phase) -> None:
    assert over(replaying(), lane_state(9), [batch(100_002, phase)]) == ()
    assert over(replaying(), lane_state(9), [batch(2, phase)]) == (100_002,)


def test_deleted_export_waits_for_its_replays() -> None:
    assert over(replaying(drain_to=()), lane_state(8), []) == ()
    assert over(replaying(drain_to=()), lane_state(9), []) == (100_002,)


def test_what_came_of_a_replay_is_told_by_the_ledgers_marks() -> None:
    assert lane_results(replaying(), lane_state(9)) == (LaneResult(100_002, 3, 1),)


def test_source_of_a_replay_begins_where_its_range_does() -> None:
    assert first_of(replaying(), Source("id", 0, "lane")) == 5
    assert first_of(replaying(), Source("id", 0, "another lane")) is None
    assert first_of(replaying(), Source("another topic", 0, "lane")) is None


def test_replay_of_several_topics_is_over_when_those_of_each_are_taken() -> None:
    names = ("lane", ReplayKind.REPLAY, "1", "a", "e", "e")
    ranges = tuple(OffsetRange(0, 5, 9, f"shop.{name}", f"id-{name}") for name in ("a", "b"))
    replay = Replay(*names, replace(SECOND, number=100_002), "shop.a", "shop.*", "", ranges, 0, b"")
    export = with_replays(replace(EXPORT, revisions=(SECOND,)), [replay])
    marks = [Mark(Source(f"id-{name}", 0, "lane"), 9, 3, 1) for name in ("a", "b")]

    assert over(export, ExportState("e", 5, 5, (marks[0],)), []) == ()
    assert over(export, ExportState("e", 5, 5, tuple(marks)), []) == (100_002,)
    assert first_of(export, Source("id-b", 0, "lane")) == 5
