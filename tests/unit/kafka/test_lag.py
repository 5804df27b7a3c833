"""What is lag, how long retention leaves, and what counts as standing still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.kafka.faust import Partition, Progress
from app.kafka.lag import FOREVER, Lag, LagBook, Lags, Oldest, Place, parked_left

SOURCE = Partition("events", 0)
HOUR_MS = 3_600_000
NOW_MS = 100 * HOUR_MS
AT_REST = Progress(SOURCE, 1, 10, 10, 10, 0.0, None, False)
FETCHED = replace(AT_REST, fetched=14, oldest_ms=NOW_MS - 2 * HOUR_MS)
"""Four records are in the process, the oldest is two hours old."""


class Looks:
    """A book and its looks, ten seconds apart."""

    def __init__(self, **rules: Any) -> None:
        self.book = LagBook(**rules)
        self.seconds = 0.0

    def look(
        self,
        *places: Progress,
        end: int = 20,
        oldest: Mapping[Place, Oldest | None] | None = None,
        retention_ms: int | None = 24 * HOUR_MS,
        busy: bool = False,
    ) -> Lags:
        self.seconds += 10
        return self.book.look(
            places,
            {place.source: end for place in places},
            oldest or {},
            {"events": retention_ms},
            now=self.seconds,
            now_ms=NOW_MS,
            elapsed_seconds=10,
            busy=busy,
        )


def test_lag_is_what_a_restart_would_read_again() -> None:
    lags = Looks().look(FETCHED, end=20)

    assert lags.partitions == (Lag(SOURCE, 10, 22 * 3600),)


def test_idle_partition_has_no_lag_and_for_ever() -> None:
    lags = Looks().look(AT_REST, end=10)

    assert lags.partitions == (Lag(SOURCE, 0, FOREVER),)
    assert (lags.left_seconds, lags.commit_age_seconds, lags.still_seconds) == (FOREVER, 0, 0)


def test_partition_whose_unread_records_are_all_deleted_has_no_lag() -> None:
    lags = Looks().look(AT_REST, end=500, oldest={("events", 0, 10): None})

    assert lags.partitions == (Lag(SOURCE, 0, FOREVER),)


def test_topic_that_keeps_everything_is_never_overtaken() -> None:
    assert Looks().look(FETCHED, retention_ms=None).left_seconds == FOREVER


def test_record_older_than_retention_leaves_no_time() -> None:
    assert Looks().look(FETCHED, retention_ms=HOUR_MS).left_seconds == 0


def test_record_that_was_not_fetched_is_looked_at_when_it_still_waits_at_the_next_look() -> None:
    looks = Looks()
    ends = {SOURCE: 20}

    first = looks.book.to_look_at([AT_REST], ends)
    looks.look(AT_REST)
    second = looks.book.to_look_at([AT_REST], ends)
    lags = looks.look(AT_REST, oldest={("events", 0, 10): Oldest(10, NOW_MS - HOUR_MS)})

    assert first == []
    assert second == [("events", 0, 10)]
    assert lags.left_seconds == 23 * 3600


def test_commit_age_begins_with_the_lag_of_a_partition_that_was_idle() -> None:
    looks = Looks()
    looks.look(AT_REST, end=10)

    begun = looks.look(FETCHED).commit_age_seconds
    later = looks.look(FETCHED).commit_age_seconds

    assert (begun, later) == (0, 10)


def test_partition_that_does_not_move_is_told_from_look_to_look() -> None:
    looks = Looks()

    still = [looks.look(FETCHED).still_seconds for _ in range(3)]

    assert still == [10, 20, 30]


MOVES: dict[str, list[tuple[Progress, dict[str, Any]]]] = {
    "it moved": [(FETCHED, {}), (replace(FETCHED, done=11), {})],
    "it has no lag any more": [(FETCHED, {}), (replace(AT_REST, fetched=10), {"end": 10})],
    "it is held back with nothing under way": [(replace(AT_REST, held=True), {})] * 2,
    "nothing that could be read was seen": [(AT_REST, {})] * 2,
}


@pytest.mark.parametrize("looked_at", MOVES.values(), ids=MOVES)
def test_partition_is_not_stuck_when(looked_at: list[tuple[Progress, dict[str, Any]]]) -> None:
    looks = Looks()

    lags = [looks.look(place, **how) for place, how in looked_at]

    assert lags[-1].still_seconds == 0


def test_time_under_another_lease_does_not_count() -> None:
    looks = Looks()
    looks.look(FETCHED)

    assert looks.look(replace(FETCHED, generation=2)).still_seconds == 10


def test_partition_that_was_taken_to_its_end_is_not_stuck_though_nothing_of_it_is_done() -> None:
    looks = Looks(position=lambda place: place.fetched)

    looks.look(FETCHED, end=14)

    assert looks.look(FETCHED, end=14).still_seconds == 0


def test_held_partition_with_chunks_under_way_has_to_move() -> None:
    looks = Looks()
    held = replace(FETCHED, held=True)

    looks.look(held)

    assert looks.look(held).still_seconds == 20


def test_partition_that_its_owner_excuses_is_not_stuck() -> None:
    looks = Looks(excused=lambda source: source == SOURCE)

    looks.look(FETCHED)

    assert looks.look(FETCHED).still_seconds == 0


def test_partition_that_waits_in_line_is_not_stuck_while_others_move() -> None:
    looks, other = Looks(), replace(FETCHED, source=Partition("events", 1))
    waiting: dict[Place, Oldest | None] = {("events", 0, 10): Oldest(10, NOW_MS)}
    looks.look(AT_REST, other, oldest=waiting, busy=True)

    moving = looks.look(AT_REST, replace(other, done=11), oldest=waiting, busy=True)
    standing = looks.look(AT_REST, replace(other, done=11), oldest=waiting, busy=True)

    assert moving.still_seconds == 0
    assert standing.still_seconds == 10


def test_time_in_which_kafka_was_away_does_not_count() -> None:
    looks = Looks()
    looks.look(FETCHED)

    looks.book.forgive()

    assert looks.look(FETCHED).still_seconds == 10


@pytest.mark.parametrize(
    ("there", "retention_ms", "left"),
    [
        (Oldest(7, NOW_MS - HOUR_MS), 24 * HOUR_MS, 23 * 3600),
        (Oldest(8, NOW_MS), 24 * HOUR_MS, 0),
        (None, 24 * HOUR_MS, FOREVER),
        (Oldest(7, 0), None, FOREVER),
    ],
    ids=["there", "overtaken", "nothing waits", "kept for ever"],
)
def test_time_that_retention_leaves_a_parked_export(
    there: Oldest | None, retention_ms: int | None, left: float
) -> None:
    assert parked_left(("rows", 3, 7), there, retention_ms, NOW_MS) == left
