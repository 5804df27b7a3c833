"""Suspensions in the mapper: whatever it fetches when, each event is mapped once, by the live lane or by a resume's."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from mapper_world import EXPORT, RECEIVER, SOURCE, World, running

from app.mapper.targets import is_settling, targets
from app.model.receiver import Export, Revision, SourceOffset, Suspension

OFFSETS = list(range(100, 110))


def place(offset: int) -> tuple[SourceOffset, ...]:
    return (SourceOffset("id-1", 0, offset),)


def suspended(*intervals: tuple[int, int | None]) -> Export:
    suspensions = tuple(
        Suspension(0, None, place(first), None if end is None else place(end)) for first, end in intervals
    )
    return replace(EXPORT, suspensions=suspensions)


@pytest.mark.parametrize(
    ("intervals", "taken"),
    [
        ([(105, None)], [(0, 5)]),
        ([(90, None)], []),
        ([(110, None)], [(0, 10)]),
        ([(102, 104)], [(0, 2), (4, 10)]),
        ([(90, 104)], [(4, 10)]),
        ([(104, 104)], [(0, 10)]),
        ([(101, 103), (105, 106), (108, None)], [(0, 1), (3, 5), (6, 8)]),
    ],
)
def test_events_of_a_suspension_are_not_taken(
    intervals: list[tuple[int, int | None]], taken: list[tuple[int, int]]
) -> None:
    (target,) = targets("id-1", [suspended(*intervals)], 0, 100, 110)

    assert list(target.parts(OFFSETS)) == taken


def test_partition_that_was_added_while_suspended_waits_from_its_beginning() -> None:
    (target,) = targets("id-1", [suspended((105, None))], 1, 0, 110)

    assert target.parts(OFFSETS) == ()


def test_partition_that_was_added_after_the_end_is_taken() -> None:
    (target,) = targets("id-1", [suspended((105, 120))], 1, 0, 110)

    assert target.parts(OFFSETS) == ((0, 10),)


async def test_chunk_goes_around_a_suspension_and_speaks_for_every_offset() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(suspended((12, 14), (16, 17)))
    async with running(world):
        world.chunks.put_nowait(world.chunk(10, 20))
        await world.until(lambda: world.committed)

    envelopes = [rows for _, _, rows in world.sent]
    assert [envelopes[0].base, *(rows.end for rows in envelopes)] == [10, 12, 16, 20]
    assert sum(rows.count for rows in envelopes) == 7
    assert sum(rows.skipped for rows in envelopes) == 3


async def test_chunk_is_held_until_it_is_known_where_a_suspension_begins() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(replace(EXPORT, suspensions=(Suspension(0),)))
    async with running(world):
        world.chunks.put_nowait(world.chunk(0, 10))
        world.behind_the_barrier.append(world.news.set)
        await world.until(lambda: not world.behind_the_barrier)
        early = list(world.sent)
        world.catalog.put_export(suspended((4, None)))
        await world.until(lambda: world.committed)

    assert early == []
    assert sum(rows.count for _, _, rows in world.sent) == 4


async def test_partition_rests_while_it_is_not_known_where_a_suspension_begins() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(replace(EXPORT, suspensions=(Suspension(0),)))
    async with running(world) as mapper:
        world.chunks.put_nowait(world.chunk(0, 10))
        for _ in range(2):  # the chunk's own barrier, then that of the first look again
            world.behind_the_barrier.append(world.news.set)
            await world.until(lambda: not world.behind_the_barrier)
        held = mapper.rests(SOURCE)
        world.catalog.put_export(suspended((4, None)))
        await world.until(lambda: world.committed)
        after = mapper.rests(SOURCE)

    assert (held, after) == (True, False)


class History:
    """One partition, its events, an export that is suspended and resumed by control's two records, and mappers that
    fetch at any time, are held up at any time, and are replaced at any time.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.end = 0
        self.export = EXPORT
        self.live: Counter[int] = Counter()
        self.lanes: Counter[int] = Counter()
        self.committed = 0
        self.asked: int | None = None
        self.chunks: list[tuple[int, int, Export]] = []
        """Fetched and not yet mapped, in order: base, end, and the export as the barrier after the fetch showed it."""

    def run(self, steps: int) -> None:
        moves = [self.append, self.fetch, self.map, self.crash, self.control, self.control]
        for _ in range(steps):
            self.random.choice(moves)()
        while self.export.suspension is not None:
            self.control()
        while self.committed < self.end:
            self.fetch()
            self.map()

    def append(self) -> None:
        self.end += self.random.randint(1, 5)

    def fetch(self) -> None:
        base = self.chunks[-1][1] if self.chunks else self.committed
        if base < self.end:
            self.chunks.append((base, self.random.randint(base + 1, self.end), self.export))

    def map(self) -> None:
        """By what the barrier showed, or by what has come since; held while that says no offsets."""
        if not self.chunks:
            return
        base, end, seen = self.chunks[0]
        export = self.random.choice([seen, self.export])
        if is_settling([export]):
            return
        del self.chunks[0]
        (target,) = targets("id-1", [export], 0, base, end)
        offsets = list(range(base, end))
        self.live.update(offsets[n] for first, last in target.parts(offsets) for n in range(first, last))
        self.committed = end

    def crash(self) -> None:
        """Another mapper reads again what was not committed."""
        if self.random.random() < 0.3:
            self.chunks.clear()

    def control(self) -> None:
        """The next of control's actions: announce, ask for the end, write it down."""
        suspension = self.export.suspension
        if suspension is None:
            self.suspensions(Suspension(0), more=True)
        elif not suspension.is_settling:
            self.suspensions(replace(suspension, lane=Revision(1, EXPORT.revision.mapping, "", b"", 0)))
        elif self.asked is None:
            self.asked = self.end
        elif suspension.first is None:
            self.suspensions(replace(suspension, first=place(self.asked)))
        else:
            first, _ = suspension.skips("id-1", 0)
            self.lanes.update(range(first, self.asked))
            self.suspensions(replace(suspension, end=place(self.asked), lane=None))

    def suspensions(self, last: Suspension, more: bool = False) -> None:
        kept = self.export.suspensions if more else self.export.suspensions[:-1]
        self.export, self.asked = replace(self.export, suspensions=(*kept, last)), None


def test_every_event_is_mapped_once_whenever_the_mapper_fetches() -> None:
    waited = 0
    for seed in range(300):
        history = History(seed)
        history.run(120)
        waited += history.lanes.total()

        assert history.live + history.lanes == Counter(range(history.end)), f"seed {seed}"
    assert waited > 300
