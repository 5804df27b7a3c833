"""What exports may lose to failing work, in any history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.allowance import EMPTY, FIRST_TRY, Allowances

SHARE = 0.05
MOST = 2.0
KEYS = ("a/1", "b/1", "c/1")


def emptied(key: str, seconds: float = MOST) -> Allowances:
    """Allowances of which this export lost so much, at time 0."""
    allowances = Allowances(SHARE, MOST)
    allowances.charge(key, seconds, now=0)
    return allowances


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.floats(0, 10), st.floats(0.001, 3))))
def test_together_they_lose_no_more_than_the_share_after_what_each_may_lose_at_once(
    history: list[tuple[str, float, float]],
) -> None:
    allowances = Allowances(SHARE, MOST)
    now = lost = 0.0
    overshoot = 0.0
    for key, pause, wanted in history:
        now += pause
        left = allowances.left(key, now)
        if not left:
            continue
        # Who is given time may take a little more than that, as a lost child does; it is paid back by resting.
        taken = min(wanted, left + 0.25)
        overshoot = max(overshoot, 0.25)
        allowances.charge(key, taken, now)
        lost += taken

    assert lost <= SHARE * now + len(KEYS) * (MOST + overshoot) + 1e-6


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.floats(0, 200), st.floats(0, 6))))
def test_one_that_rests_is_tried_again_when_it_was_said(history: list[tuple[str, float, float]]) -> None:
    allowances = Allowances(SHARE, MOST)
    now = 0.0
    for key, pause, wanted in history:
        now += pause
        allowances.charge(key, wanted, now)

    for key in KEYS:
        wait = allowances.rest_seconds(key, now)
        if wait:
            assert not allowances.left(key, now)
            # Others may be full by then, and what flows back is for fewer.
            assert allowances.left(key, now + wait + 1e-3) > 0


def test_who_loses_nothing_is_not_watched() -> None:
    allowances = emptied("a/1")
    allowances.charge("b/1", 0, now=1)

    assert not allowances.is_watched("b/1", now=1)
    assert allowances.left("b/1", now=1) == MOST


def test_a_little_lost_is_forgotten_without_resting() -> None:
    allowances = emptied("a/1", seconds=1)

    assert allowances.left("a/1", now=0) == 1
    assert not allowances.is_resting("a/1")
    assert not allowances.is_watched("a/1", now=1 / SHARE + 1e-6)


def test_account_that_is_as_good_as_empty_is_empty() -> None:
    allowances = emptied("a/1", seconds=MOST * (1 - EMPTY / 2))

    assert allowances.is_resting("a/1")
    assert allowances.left("a/1", now=0) == 0


def test_each_failed_try_needs_twice_as_much_up_to_a_full_account() -> None:
    allowances = emptied("a/1")
    now, tries = 0.0, []
    for _ in range(5):
        now += allowances.rest_seconds("a/1", now) + 1e-6
        tries.append(allowances.left("a/1", now))
        allowances.charge("a/1", tries[-1], now)

    assert tries == pytest.approx([FIRST_TRY * MOST, 2 * FIRST_TRY * MOST, MOST, MOST, MOST], abs=1e-3)


def test_who_succeeds_rests_no_longer() -> None:
    allowances = emptied("a/1")
    now = allowances.rest_seconds("a/1", now=0) + 1e-6

    allowances.succeeded("a/1")

    assert not allowances.is_resting("a/1")
    assert allowances.left("a/1", now) == pytest.approx(FIRST_TRY * MOST, abs=1e-3)


def test_what_flows_back_is_divided_among_those_that_fail() -> None:
    allowances = emptied("a/1")
    alone = allowances.rest_seconds("a/1", now=0)
    allowances.charge("b/1", MOST, now=0)

    assert allowances.rest_seconds("a/1", now=0) == pytest.approx(2 * alone)


def test_one_that_rests_is_remembered_for_a_while_when_nobody_sends_it_events() -> None:
    allowances = emptied("a/1")

    assert allowances.is_resting("a/1")
    assert allowances.left("a/1", now=1.5 * MOST / SHARE) == MOST
    assert allowances.is_resting("a/1")
    assert not allowances.is_watched("a/1", now=2 * MOST / SHARE + 1e-6)


def test_the_last_cause_is_known() -> None:
    allowances = emptied("a/1")
    allowances.charge("a/1", 1, now=1, why="it loops")
    allowances.charge("a/1", 1, now=2)

    assert allowances.why("a/1") == "it loops"
    assert allowances.why("b/1") == ""


def test_rest_lasts_from_the_first_empty_account_until_a_try_succeeds() -> None:
    allowances = emptied("a/1")
    allowances.charge("a/1", 0.3, now=7)

    during = allowances.rested_seconds("a/1", now=9)
    allowances.succeeded("a/1")

    assert (during, allowances.rested_seconds("a/1", now=9), allowances.rested_seconds("b/1", now=9)) == (9, 0, 0)
