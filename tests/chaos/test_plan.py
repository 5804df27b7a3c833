"""The plan of a chaos run: made from the seed alone, and such that each fault hits what can be hit."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from chaos.plan import BROKER_KINDS, INSTANCES, LONG, PROCESS_KINDS, SESSION_SECONDS, SHORT, Kind, make_plan
from hypothesis import given
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32)


@given(SEEDS)
def test_same_seed_gives_the_same_plan(seed: int) -> None:
    assert make_plan(seed, 120, SHORT) == make_plan(seed, 120, SHORT)


def test_other_seeds_give_other_plans() -> None:
    assert len({tuple(make_plan(seed, 120, SHORT)) for seed in range(50)}) == 50


@given(SEEDS)
def test_long_run_has_every_kind_of_fault(seed: int) -> None:
    assert {fault.kind for fault in make_plan(seed, 600, LONG)} == set(Kind)


@given(SEEDS)
def test_faults_come_in_order_and_end_in_time(seed: int) -> None:
    plan = make_plan(seed, 300, LONG)

    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    assert all(fault.at >= 0 and fault.at + fault.lasts <= 300 for fault in plan)


@given(SEEDS)
def test_what_is_down_or_starting_is_not_hit(seed: int) -> None:
    hits = [fault for fault in make_plan(seed, 600, LONG) if fault.kind in PROCESS_KINDS + BROKER_KINDS]

    for target in (*INSTANCES, "broker"):
        own = [fault for fault in hits if fault.target == target]
        for before, after in pairwise(own):
            assert after.at >= before.at + before.lasts + LONG.recovery


@given(SEEDS)
def test_frozen_processes_outlast_their_session(seed: int) -> None:
    frozen = [fault.lasts for fault in make_plan(seed, 600, LONG) if fault.kind is Kind.FREEZE]

    assert min(frozen) > SESSION_SECONDS


def test_every_process_is_killed_by_some_seed() -> None:
    killed = Counter(
        fault.target for seed in range(20) for fault in make_plan(seed, 300, LONG) if fault.kind is Kind.KILL
    )

    assert set(killed) == set(INSTANCES)
