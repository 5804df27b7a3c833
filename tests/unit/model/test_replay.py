"""Replays in the catalog: an export knows the revisions of those that run, and a number is never used twice."""

from __future__ import annotations

from dataclasses import replace

from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.receiver import Export, Mapping, Revision
from app.model.replay import (
    KEPT_REPLAYS,
    LANE_STEP,
    OffsetRange,
    Replay,
    ReplayKind,
    forgettable,
    is_lane_number,
    lane_number,
    replay_key,
)

LIVE = Revision(3, Mapping("t", ()), "1", b"", 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (LIVE,), 0)
REPLAY = Replay(
    *("lane", ReplayKind.REPLAY, "1", "a", "e", "e"),
    revision=Revision(lane_number([], 3), Mapping("other", ()), "2", b"", 0),
    receiver_topic="topic",
    topic="topic",
    topic_id="id",
    ranges=(OffsetRange(0, 5, 9), OffsetRange(1, 2, 2)),
    created_ms=1,
    begun_by=b"",
)


def replaying() -> Catalog:
    catalog = Catalog()
    catalog.put_export(EXPORT)
    catalog.put_replay(REPLAY)
    return catalog


def test_export_knows_the_revision_of_a_replay_that_runs() -> None:
    export = replaying().replaying_export("e")

    assert export is not None
    assert export.of_revision(REPLAY.revision.number) is REPLAY.revision
    assert export.of_revision(3) is LIVE
    assert export.revision is LIVE


def test_export_does_not_know_the_revision_of_a_finished_replay() -> None:
    catalog = replaying()
    catalog.put_replay(replace(REPLAY, finished_ms=2))

    export = catalog.replaying_export("e")

    assert export is not None
    assert export.find_revision(REPLAY.revision.number) is None
    assert catalog.running_replays() == []


def test_number_of_a_finished_replay_is_not_used_again() -> None:
    finished = replace(REPLAY, finished_ms=2)

    number = lane_number([finished], 3)

    assert is_lane_number(number)
    assert number != REPLAY.revision.number


def test_replay_that_is_forgotten_leaves_nothing() -> None:
    catalog = replaying()

    catalog.drop_replay(replay_key("e", "lane"))

    assert catalog.replays == {}
    assert catalog.replays_of("e") == []


def replays(count: int, finished_ms: int | None) -> list[Replay]:
    numbered = [replace(REPLAY.revision, number=number * LANE_STEP) for number in range(1, count + 1)]
    return [replace(REPLAY, revision=revision, finished_ms=finished_ms) for revision in numbered]


def test_newest_replays_are_kept_for_ever() -> None:
    old = replays(KEPT_REPLAYS + 2, finished_ms=0)

    assert forgettable(old, 1001, 1000) == old[:2]


def test_replay_is_kept_while_there_may_be_dead_letters_from_its_time() -> None:
    assert forgettable(replays(KEPT_REPLAYS + 2, finished_ms=1), 1001, 1000) == []


def test_replay_that_is_not_finished_is_kept() -> None:
    assert forgettable(replays(KEPT_REPLAYS + 2, finished_ms=None), 1001, 1000) == []
