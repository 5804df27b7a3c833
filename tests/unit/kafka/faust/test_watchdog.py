"""What the watchdog sees and for how long it lets it be."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.faust.watchdog import Watchdog


class Scene:
    """A watchdog on an app that is not there, with its own clock of looks."""

    def __init__(self) -> None:
        self.task: Any = SimpleNamespace(done=lambda: False)
        self.coordinator = SimpleNamespace(_pending_exception=None, _coordination_task=self.task)
        kafka = SimpleNamespace(_coordinator=self.coordinator)
        consumer = SimpleNamespace(_thread=SimpleNamespace(_consumer=kafka))
        self.app: Any = SimpleNamespace(_consumer=consumer, rebalancing=False)
        self.ended: list[str] = []
        self.watchdog = Watchdog(self.app, 30, 600, self.ended.append)
        self.begun = time.monotonic()

    def look(self, second: float) -> None:
        self.watchdog.judge(self.begun + second)


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
    scene.look(4.9)
    before = list(scene.ended)
    scene.watchdog.beat(scene.begun + 5.1)
    scene.look(5.1)

    assert before == []
    assert scene.ended == ["a fatal error of the group is parked"]


@pytest.mark.parametrize(("seconds", "ends"), [(29, False), (31, True)])
def test_rebalance_may_take_as_long_as_the_setting_says(seconds: float, ends: bool) -> None:
    scene = Scene()
    scene.app.rebalancing = True

    scene.look(0)
    scene.watchdog.beat(scene.begun + seconds)
    scene.look(seconds)

    assert bool(scene.ended) is ends


def test_trouble_that_passes_is_forgotten() -> None:
    scene = Scene()
    scene.app.rebalancing = True
    scene.look(0)
    scene.app.rebalancing = False
    scene.look(1)
    scene.app.rebalancing = True
    scene.watchdog.beat(scene.begun + 31)
    scene.look(31)

    assert scene.ended == []


def test_stop_that_hangs_is_ended_after_8_seconds() -> None:
    scene = Scene()
    scene.watchdog.stop_begins()

    scene.look(0)
    scene.watchdog.beat(scene.begun + 9)
    scene.look(9)

    assert scene.ended == ["the stop does not come to an end"]


def test_stop_has_as_long_as_is_set() -> None:
    scene = Scene()
    scene.watchdog = Watchdog(scene.app, 30, 600, scene.ended.append, stop_seconds=20)
    scene.watchdog.stop_begins()

    for second in (0, 20):
        scene.look(second)
    before = list(scene.ended)
    scene.look(20.5)

    assert before == []
    assert scene.ended == ["the stop does not come to an end"]


def test_loop_that_no_longer_beats_is_ended() -> None:
    scene = Scene()

    scene.look(3)
    scene.look(34)

    assert scene.ended == ["the event loop is stuck"]


def test_liveness_fails_before_the_process_is_ended() -> None:
    scene = Scene()
    scene.begun -= 20
    scene.app.rebalancing = True

    scene.look(0)

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
    watchdog.limits["the group's coordination has ended"] = 0.01
    scene.task.done = lambda: True

    watchdog.start()
    async with asyncio.timeout(10):
        await ended.wait()
    watchdog.close()
