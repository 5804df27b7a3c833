"""Which rule a request meets."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.local.storage.faults import FaultRule, Faults


def test_rules_match_by_method_and_path_in_order_and_are_used_up() -> None:
    faults = Faults()
    faults.add(
        [
            FaultRule(effect="status", method="POST", path="import-async$", times=1, status=500),
            FaultRule(effect="status", path="/tables/", times=2, status=503),
        ]
    )

    taken = [
        faults.take(method, path)
        for method, path in [
            ("GET", "/files/1"),
            ("POST", "/tables/a/import-async"),
            ("POST", "/tables/a/import-async"),
            ("GET", "/tables/a"),
            ("GET", "/tables/a"),
        ]
    ]

    assert [None if rule is None else rule.status for rule in taken] == [None, 500, 503, 503, None]
    assert [used for _, used in faults.listed()] == [1, 2]


def test_rule_for_a_time_ends_with_it() -> None:
    now = 100.0
    faults = Faults(lambda: now)
    faults.add([FaultRule(effect="reset", times=None, for_seconds=10)])

    now = 109.9
    before = faults.take("GET", "/")
    now = 110.0
    after = faults.take("GET", "/")

    assert before is not None
    assert after is None


def test_rule_without_times_stays_until_it_is_cleared() -> None:
    faults = Faults()
    faults.add([FaultRule(effect="reset", times=None)])

    assert all(faults.take("GET", "/") for _ in range(50))
    faults.clear()
    assert faults.take("GET", "/") is None


@pytest.mark.parametrize("wrong", [{"path": "("}, {"status": 200}, {"times": 0}, {"unknown": 1}, {"effect": "magic"}])
def test_rule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FaultRule.model_validate({"effect": "status", **wrong})
