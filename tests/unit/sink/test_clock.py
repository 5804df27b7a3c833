"""The broker's time, by what it stamped and the monotonic clock (delivery protocol, rule 24)."""

from __future__ import annotations

import time

import pytest

from app.sink.clock import BrokerClock


class Monotonic:
    """A clock that is put forward by hand, in seconds."""

    def __init__(self) -> None:
        self.seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


def test_time_goes_on_from_the_last_stamp_whatever_the_wall_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic = Monotonic()
    clock = BrokerClock(monotonic)
    clock.saw(1_000_000)
    monotonic.seconds += 3
    monkeypatch.setattr(time, "time", lambda: 7e9)

    now_ms = clock.now_ms()

    assert now_ms == 1_003_000


def test_old_record_does_not_put_the_clock_back() -> None:
    monotonic = Monotonic()
    clock = BrokerClock(monotonic)
    clock.saw(1_000_000)
    monotonic.seconds += 3

    clock.saw(1_000_500)

    assert clock.now_ms() == 1_003_000


def test_stamp_later_than_expected_puts_the_clock_forward() -> None:
    clock = BrokerClock(Monotonic())
    clock.saw(1_000_000)

    clock.saw(1_000_500)

    assert clock.now_ms() == 1_000_500


def test_windows_age_by_the_monotonic_clock_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a clock of its own: a wall clock that is put forward an hour moves nothing."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    clock = BrokerClock()
    clock.saw(1_000_000)
    monkeypatch.setattr(time, "time", lambda: 3600.0)

    now_ms = clock.now_ms()

    assert now_ms < 1_000_000 + 3_600_000
