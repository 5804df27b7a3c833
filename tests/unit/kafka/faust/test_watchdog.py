"""What the watchdog sees and for how long it lets it be."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.faust.watchdog import Watchdog
from app.observe.pulse import Patience


class Scene:
    """A watchdog on an app that is not there, with its own clock of looks."""

    def __init__(self) -> None:
        self.task: Any = SimpleNamespace(done=lambda: False)
        self.coordinator = SimpleNamespace(_pending_exception=None, _coordination_task=self.task, coordinator_id=1)
        kafka = SimpleNamespace(_coordinator=self.coordinator)
        consumer = SimpleNamespace(_thread=SimpleNamespace(_consumer=kafka))
        self.app: Any = SimpleNamespace(_consumer=consumer, rebalancing=False)
        self.ended: list[str] = []
        self.watchdog = Watchdog(self.app, 30, 600, self.ended.append)
        self.begun = time.monotonic()
        self.second = 0.0

    def look(self, second: float, *, beats: bool = True) -> None:
        """One look at this second after the beginning."""
        if beats:
            self.watchdog.beat(self.begun + second)
        self.second = second
        self.watchdog.judge(self.begun + second)

    def watch(self, until: float, *, beats: bool = True) -> None:
        """Look every half second from the last look up to this second."""
        while self.second < until:
            self.look(self.second + 0.5, beats=beats)


def test_nothing_wrong_is_left_alone() -> None:
    scene = Scene()

    for second in (0, 1):
        scene.look(second)

    assert scene.ended == []
    assert scene.watchdog.alive()


def test_parked_error_ends_the_process_after_5_seconds() -> None:
    scene = Scene()
    scene.coordinator._pending_exception = RuntimeError("inconsistent group protocol")

    scene.look(0)
    scene.watch(5)
    before = list(scene.ended)
    scene.watch(5.5)

    assert before == []
    assert scene.ended == ["a fatal error of the group is parked"]


@pytest.mark.parametrize(("seconds", "ends"), [(30, False), (30.5, True)])
def test_rebalance_may_take_as_long_as_the_setting_says(seconds: float, ends: bool) -> None:
    scene = Scene()
    scene.app.rebalancing = True

    scene.look(0)
    scene.watch(seconds)

    assert bool(scene.ended) is ends


def test_rebalance_that_waits_for_kafka_is_let_be() -> None:
    scene = Scene()
    scene.app.rebalancing = True
    scene.watchdog.kafka_answers = lambda: False

    scene.look(0)
    scene.watch(100)

    assert scene.ended == []
    assert scene.watchdog.alive()


def test_rebalance_without_a_coordinator_of_the_group_is_let_be() -> None:
    scene = Scene()
    scene.app.rebalancing = True
    scene.coordinator.coordinator_id = None

    scene.look(0)
    scene.watch(100)

    assert scene.ended == []


def test_rebalance_has_its_whole_time_after_kafka_is_back() -> None:
    scene = Scene()
    scene.app.rebalancing = True
    scene.coordinator.coordinator_id = None
    scene.look(0)
    scene.watch(100)

    scene.coordinator.coordinator_id = 1
    scene.watch(130.5)
    before = list(scene.ended)
    scene.watch(131)

    assert before == []
    assert scene.ended == ["a rebalance does not come to an end"]


def test_time_in_which_the_process_was_frozen_counts_for_nothing() -> None:
    scene = Scene()
    scene.app.rebalancing = True
    scene.look(0)
    scene.watch(10)

    scene.look(1000)

    assert scene.ended == []
    assert scene.watchdog.alive()


def test_trouble_that_passes_is_forgotten() -> None:
    scene = Scene()
    scene.app.rebalancing = True
    scene.look(0)
    scene.app.rebalancing = False
    scene.watch(1)
    scene.app.rebalancing = True
    scene.watch(31)

    assert scene.ended == []


def test_stop_that_hangs_is_ended_after_8_seconds() -> None:
    scene = Scene()
    scene.watchdog.stop_begins()

    scene.look(0)
    scene.watch(8.5)

    assert scene.ended == ["the stop does not come to an end"]


def test_stop_has_as_long_as_is_set() -> None:
    scene = Scene()
    scene.watchdog = Watchdog(scene.app, 30, 600, scene.ended.append, stop_seconds=20)
    scene.watchdog.stop_begins()

    scene.look(0)
    scene.watch(20)
    before = list(scene.ended)
    scene.watch(20.5)

    assert before == []
    assert scene.ended == ["the stop does not come to an end"]


def test_loop_that_no_longer_beats_is_ended() -> None:
    scene = Scene()

    scene.look(3, beats=False)
    scene.watch(33.5, beats=False)

    assert scene.ended == ["the event loop is stuck"]


def test_liveness_fails_before_the_process_is_ended() -> None:
    scene = Scene()
    scene.app.rebalancing = True

    scene.look(0)
    scene.watch(20)

    assert scene.ended == []
    assert not scene.watchdog.alive()


def test_partition_that_does_not_move_ends_the_process_when_its_time_is_over() -> None:
    scene = Scene()
    still = 599.0
    scene.watchdog.still_seconds = lambda: still

    scene.look(0)
    before = list(scene.ended)
    still = 601.0
    scene.look(0)

    assert before == []
    assert scene.ended == ["a partition has not moved for 600 s although records wait"]


def test_partition_that_does_not_move_fails_liveness_at_half_its_time() -> None:
    scene = Scene()

    scene.watchdog.still_seconds = lambda: 301.0

    assert not scene.watchdog.alive()


def test_partition_that_does_not_move_in_a_stop_is_left_to_the_stop() -> None:
    scene = Scene()
    scene.watchdog.still_seconds = lambda: 601.0
    scene.watchdog.stop_begins()

    scene.look(0)

    assert scene.ended == []


async def test_running_watchdog_sees_a_stuck_coordination_by_itself() -> None:
    scene = Scene()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    watchdog = Watchdog(scene.app, 30, 600, lambda _: loop.call_soon_threadsafe(ended.set))
    watchdog.patience["the group's coordination has ended"] = Patience(0.01)
    scene.task.done = lambda: True

    watchdog.start()
    async with asyncio.timeout(60):
        await ended.wait()
    watchdog.close()
