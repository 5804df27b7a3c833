"""Lanes of replays where something fails, waits or is gone: the others, and the mapper, go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from mapper_world import EXPORT, REVISION, TOPIC, Record, World

from app.kafka.producer import ProducerBroken
from app.kafka.ranges import RangeBlock
from app.mapper import metrics, replay_lane
from app.mapper.replay_lane import ReplayLane
from app.mapper.turns import Turns
from app.model.errors import KafkaUnavailable
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.settings import Settings

NAMES = ("lane", ReplayKind.REPLAY, "1", "a", "e", "e")
RANGES = (OffsetRange(0, 0, 4),)
REPLAY = Replay(*NAMES, replace(REVISION, number=100_001), TOPIC, TOPIC, "id-1", RANGES, 0, b"")


class Reader:
    """Of a topic with a record at each offset; gives one at a time. What is committed is kept by group."""

    open = most_open = 0
    kept: dict[str, int]
    troubles: list[Exception]

    def __init__(self, _settings: Settings, _topic: str, _partition: int, end: int, group: str) -> None:
        self.end, self.group = end, group
        Reader.open += 1
        Reader.most_open = max(Reader.most_open, Reader.open)

    async def committed(self) -> int | None:
        if Reader.troubles:
            raise Reader.troubles.pop(0)
        return Reader.kept.get(self.group)

    async def read(self, offset: int, _most: int) -> RangeBlock:
        await asyncio.sleep(0)
        return RangeBlock([cast(Any, Record(offset))], offset + 1)

    async def commit(self, offset: int) -> None:
        Reader.kept[self.group] = offset

    def close(self) -> None:
        Reader.open -= 1


class Surroundings(World):
    """With topics that may be gone."""

    gone = False

    async def is_gone(self, _topic: str, _topic_id: str) -> bool:
        return self.gone


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Reader.open, Reader.most_open, Reader.kept, Reader.troubles = 0, 0, {}, []
    monkeypatch.setattr(replay_lane, "RangeReader", Reader)
    for name in ("FIRST_PAUSE_SECONDS", "LAST_PAUSE_SECONDS", "SEAT_SECONDS", "_LOOK_AGAIN_SECONDS"):
        monkeypatch.setattr(replay_lane, name, 0)
    yield
    assert Reader.open == 0


def lane(
    world: Surroundings, turns: Turns | None = None, name: str = "lane", cancelled_ms: int | None = None
) -> ReplayLane:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    world_: Any = world
    replay = replace(REPLAY, lane=name, cancelled_ms=cancelled_ms)
    return ReplayLane(settings, world_, world_, world_, turns or Turns(4), EXPORT, replay, RANGES[0], [replay])


def places(world: World) -> list[tuple[int, int]]:
    return [(rows.base, rows.end) for _, _, rows in world.sent]


@pytest.mark.parametrize("trouble", [ZeroDivisionError(), KafkaUnavailable("away")], ids=["defect", "kafka"])
async def test_lane_that_fails_is_tried_again(trouble: Exception) -> None:
    world = Surroundings()
    Reader.troubles = [trouble] * 3
    before = metrics.REPLAY_FAILURES._value.get()

    await lane(world).run()

    assert places(world) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    failures = metrics.REPLAY_FAILURES._value.get() - before
    assert failures == (3 if isinstance(trouble, ZeroDivisionError) else 0)


async def test_producer_that_is_broken_ends_the_lane() -> None:
    Reader.troubles = [ProducerBroken("fenced")]

    with pytest.raises(ProducerBroken):
        await lane(Surroundings()).run()


async def test_topic_that_is_gone_ends_the_lane_and_leaves_out_what_was_not_mapped() -> None:
    world = Surroundings()
    world.gone = True

    await lane(world).run()

    ((_, _, rows),) = world.sent
    assert (rows.base, rows.end, rows.count, rows.skipped) == (0, 4, 0, 4)


async def test_replay_that_is_cancelled_leaves_out_what_was_not_mapped_before() -> None:
    world = Surroundings()

    await lane(world, cancelled_ms=1).run()

    ((_, _, rows),) = world.sent
    assert (rows.base, rows.end, rows.count, rows.skipped) == (0, 4, 0, 4)


async def test_topic_that_is_another_for_a_moment_is_looked_at_again() -> None:
    world = Surroundings()
    world.topic_id = "earlier"
    running = asyncio.create_task(lane(world).run())
    for _ in range(100):
        await asyncio.sleep(0)
    early = list(world.sent)
    world.topic_id = "id-1"

    async with asyncio.timeout(60):
        await running

    assert early == []
    assert sum(rows.count for _, _, rows in world.sent) == 4


async def test_no_more_lanes_read_at_a_time_than_there_are_seats() -> None:
    world, turns = Surroundings(), Turns(2)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(lane(world, turns, f"lane {number}").run())

    assert Reader.most_open == 2
    assert len(world.sent) == 5 * 4


async def test_lane_lets_one_that_waits_have_its_turn() -> None:
    world, turns = Surroundings(), Turns(1)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for name in ("first", "second"):
            group.create_task(lane(world, turns, name).run())

    assert [rows.source.lane for _, _, rows in world.sent] == ["first", "second"] * 4


async def test_lane_that_nothing_comes_for_keeps_its_seat_from_nobody() -> None:
    world, turns = Surroundings(), Turns(1)
    world.topic_id = "earlier"
    waits = asyncio.create_task(lane(world, turns, "waits").run())
    for _ in range(10):
        await asyncio.sleep(0)
    other = Surroundings()

    async with asyncio.timeout(60):
        await lane(other, turns, "other").run()
    waits.cancel()
    with suppress(asyncio.CancelledError):
        await waits

    assert len(other.sent) == 4


async def test_lane_that_waits_for_its_events_now_and_then_keeps_its_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Hesitant] = []

    class Hesitant(Reader):
        """Gives nothing at every other time."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.times = 0
            opened.append(self)

        async def read(self, offset: int, most: int) -> RangeBlock:
            self.times += 1
            return await super().read(offset, most) if self.times % 2 == 0 else RangeBlock([], offset)

    monkeypatch.setattr(replay_lane, "RangeReader", Hesitant)
    monkeypatch.setattr(replay_lane, "_MOST_IDLE", 2)
    world = Surroundings()

    await lane(world).run()

    assert places(world) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert len(opened) == 1
