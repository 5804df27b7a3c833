"""Which lanes of replays a mapper runs, and how the letters of a requeue are taken together."""

from __future__ import annotations

from dataclasses import replace

from app.kafka.faust import Partition
from app.kafka.requeue import LetterAt
from app.mapper.letters import Piece, lost_event, pieces
from app.mapper.replays import LanePart, receiver_topics, wanted_lanes
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.receiver import LIVE_LANE, Export, Mapping, Receiver, Revision
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.model.rows import FailedEvent, Source

EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
RANGES = (OffsetRange(0, 5, 9), OffsetRange(1, 0, 3), OffsetRange(2, 4, 4))
NAMES = ("lane", ReplayKind.REPLAY, "1", "a", "e", "e")
REPLAY = Replay(*NAMES, Revision(100_001, Mapping("t", ()), "2", b"", 0), "topic", "topic", "id", RANGES, 0, b"")
EVENT = FailedEvent(7, Reason.TEMPLATE_ERROR, None, "no", "topic", 5, "id", "", [], b"body")
LETTER = DeadLetter("1", "a", "e", "e", 1, Source("t", 0, LIVE_LANE), EVENT, 9)
BIG = replace(LETTER, event=replace(EVENT, body=None))


def catalog(replay: Replay) -> Catalog:
    catalog = Catalog()
    catalog.put_export(EXPORT)
    catalog.put_replay(replay)
    return catalog


def lanes(replay: Replay, *partitions: int) -> set[LanePart]:
    return set(wanted_lanes(catalog(replay), {Partition("topic", number) for number in partitions}))


def test_lanes_are_those_of_the_partitions_that_are_owned() -> None:
    assert lanes(REPLAY, 1) == {LanePart("lane", 1)}
    assert lanes(REPLAY, 0, 1) == {LanePart("lane", 0), LanePart("lane", 1)}


def test_partition_without_offsets_needs_no_lane() -> None:
    assert lanes(REPLAY, 2) == set()


def test_requeue_runs_where_the_first_partition_is() -> None:
    requeue = replace(REPLAY, kind=ReplayKind.REQUEUE, topic="letters", ranges=(OffsetRange(3, 0, 9),))

    assert lanes(requeue, 0) == {LanePart("lane", 3)}
    assert lanes(requeue, 1, 2, 3) == set()


def test_replay_that_is_finished_is_not_run() -> None:
    assert lanes(replace(REPLAY, finished_ms=1), 0, 1) == set()


def test_lane_of_a_replay_gives_place_to_another_when_it_is_cancelled() -> None:
    before, after = lanes(REPLAY, 0), lanes(replace(REPLAY, cancelled_ms=1), 0)

    assert (len(before), len(after), before & after) == (1, 1, set())


def test_replay_of_an_export_that_is_gone_is_not_run() -> None:
    found = catalog(REPLAY)
    found.drop_export("1/a/e")

    assert wanted_lanes(found, {Partition("topic", 0)}) == {}


def test_oldest_replay_comes_first() -> None:
    found = catalog(replace(REPLAY, lane="a", created_ms=2))
    found.put_replay(replace(REPLAY, lane="b", created_ms=1))

    assert [key.lane for key in wanted_lanes(found, {Partition("topic", 0)})] == ["b", "a"]


def test_replay_of_a_topic_that_is_gone_is_run_though_nobody_owns_it() -> None:
    assert wanted_lanes(catalog(REPLAY), ()).keys() == set()
    assert wanted_lanes(catalog(REPLAY), (), {("topic", "id")}).keys() == {LanePart("lane", 0), LanePart("lane", 1)}


def test_topic_is_looked_for_where_a_partition_is_not_owned() -> None:
    found = catalog(REPLAY)

    assert receiver_topics(found, {Partition("topic", 0), Partition("topic", 1)}) == set()
    assert receiver_topics(found, {Partition("topic", 0)}) == {("topic", "id")}


def test_topic_of_a_requeue_is_that_of_its_receiver() -> None:
    found = catalog(replace(REPLAY, kind=ReplayKind.REQUEUE, topic="letters", topic_id="id of letters"))
    found.put_receiver(Receiver("r", "1", "a", "a", "", b"", "topic", "id", 1, 0))

    assert receiver_topics(found, ()) == {("topic", "id")}


def test_letters_are_mapped_together_up_to_one_that_is_too_big() -> None:
    letters = [LetterAt(4, LETTER), LetterAt(5, LETTER), LetterAt(7, BIG), LetterAt(8, LETTER)]

    found = pieces(letters, 2, 12)

    assert found == [Piece(2, 7, letters[:2]), Piece(7, 8, letters[2:3]), Piece(8, 12, letters[3:])]
    assert [piece.is_big for piece in found] == [False, True, False]


def test_range_without_a_letter_is_accounted_for() -> None:
    assert pieces([], 2, 12) == [Piece(2, 12, [])]
    assert pieces([LetterAt(11, BIG)], 2, 12) == [Piece(2, 12, [LetterAt(11, BIG)])]


def test_big_event_that_is_gone_is_a_letter_again_that_says_so() -> None:
    rows = lost_event("e", 100_001, Source("letters", 3, "lane"), "letters", Piece(5, 8, [LetterAt(7, BIG)]))

    assert (rows.base, rows.end, rows.count, rows.skipped) == (5, 8, 0, 2)
    (failed,) = rows.failures
    assert (failed.offset, failed.topic, failed.reason, failed.body) == (7, "letters", Reason.TEMPLATE_ERROR, None)
    assert failed.message.startswith("the event was too large for its dead letter and is gone from its topic")


def test_each_topic_of_a_replay_of_several_is_read_by_who_owns_it() -> None:
    ranges = tuple(OffsetRange(0, 0, 9, f"shop.{name}", f"id-{name}") for name in ("a", "b"))
    several = catalog(replace(REPLAY, receiver_topic="shop.a", topic="shop.*", topic_id="", ranges=ranges))

    owned = wanted_lanes(several, {Partition("shop.b", 0)})

    assert {lane.topic: part for lane, (_, part) in owned.items()} == {"shop.b": ranges[1]}
    assert receiver_topics(several, {Partition("shop.a", 0)}) == {("shop.b", "id-b")}
    assert {lane.topic for lane in wanted_lanes(several, (), {("shop.b", "id-b")})} == {"shop.b"}
