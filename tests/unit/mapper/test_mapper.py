"""The mapper's loop with scripted surroundings: what the real ones cannot be made to do at will."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import replace

from mapper_world import EXPORT, RECEIVER, REVISION, SOURCE, TOPIC, World, running

from app.kafka.faust import Committed, Partition
from app.kafka.schemas import SchemasMissing
from app.mapper.metrics import IN_FLIGHT
from app.model.event import EventBatch
from app.model.receiver import SourceOffset


async def test_delivered_chunk_is_done_under_its_topics_id() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    async with running(world):
        world.chunks.put_nowait(world.chunk(10, 15))
        await world.until(lambda: world.committed)

    ((key, partition, rows),) = world.sent
    assert (key, partition, rows.base, rows.end, rows.count) == ("e", 7, 10, 15, 5)
    assert world.committed == [(TOPIC, 0, 15, 5, "id-1")]


async def test_what_the_control_log_had_when_the_chunk_was_fetched_is_in_force() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    changed = replace(EXPORT, revisions=(REVISION, replace(REVISION, number=2)))
    world.behind_the_barrier.append(lambda: world.catalog.put_export(changed))
    async with running(world):
        world.chunks.put_nowait(world.chunk(0, 1))
        await world.until(lambda: world.committed)

    assert [rows.revision for _, _, rows in world.sent] == [2]


async def test_mapping_waits_for_a_control_log_that_cannot_be_read() -> None:
    world = World()
    world.barrier_failures = 3
    world.behind_the_barrier.append(lambda: world.catalog.put_receiver(RECEIVER))
    async with running(world):
        world.chunks.put_nowait(world.chunk(0, 1))
        await world.until(lambda: world.committed)

    assert world.barrier_failures == 0


async def test_chunk_of_a_topic_made_again_is_dropped_and_the_partition_read_anew() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    async with running(world):
        world.topic_id = "id-2"
        world.catalog.put_receiver(replace(RECEIVER, topic_id="id-2"))
        world.chunks.put_nowait(world.chunk(50, 60))
        await world.until(lambda: ("rewind", SOURCE) in world.calls)

    assert world.sent == world.committed == []


async def test_partition_of_a_topic_that_the_receiver_does_not_know_waits_for_it() -> None:
    world = World()
    world.catalog.put_receiver(replace(RECEIVER, topic_id="id-0"))
    async with running(world):
        world.chunks.put_nowait(world.chunk(0, 10))
        await world.until(lambda: ("hold_back", SOURCE) in world.calls)
        before = list(world.calls)
        world.catalog.put_receiver(RECEIVER)
        await world.until(lambda: ("let_go", SOURCE) in world.calls)

    assert ("rewind", SOURCE) not in before
    assert ("rewind", SOURCE) in world.calls
    assert world.committed == []


async def test_partition_is_held_back_while_enough_of_it_is_under_way() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    world.pool_open.clear()
    async with running(world):
        for number in range(4):
            world.chunks.put_nowait(world.chunk(10 * number, 10 * number + 10))
        await world.until(lambda: world.calls)
        held = list(world.calls)
        world.pool_open.set()
        await world.until(lambda: len(world.committed) == 4)

    assert held == [("hold_back", SOURCE)]
    assert world.calls == [("hold_back", SOURCE), ("let_go", SOURCE)]
    assert [rows.base for _, _, rows in world.sent] == [0, 10, 20, 30]


async def test_revoked_partition_leaves_nothing_behind() -> None:
    world = World()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    world.pool_open.clear()
    async with running(world) as mapper:
        for number in range(4):
            world.chunks.put_nowait(world.chunk(10 * number, 10 * number + 10))
        await world.until(lambda: world.calls)
        await mapper.revoked([SOURCE])
        world.pool_open.set()
        world.chunks.put_nowait(world.chunk(0, 5))
        await world.until(lambda: world.committed)

    assert [(rows.base, rows.end) for _, _, rows in world.sent] == [(0, 5)]
    assert [offset for _, _, offset, _, _ in world.committed] == [5]


async def test_commit_of_another_topic_counts_as_none() -> None:
    world = World()
    world.catalog.put_receiver(replace(RECEIVER, starts=(SourceOffset("id-1", 1, 40),)))
    other = Partition(TOPIC, 1)
    async with running(world) as mapper:
        assert await mapper.starts({SOURCE: Committed(9, "id-1"), other: Committed(9, "id-1")}) == {
            SOURCE: 9,
            other: 9,
        }
        assert await mapper.starts({SOURCE: Committed(9, "id-0"), other: None}) == {SOURCE: 0, other: 40}


async def test_commit_of_another_receiver_of_a_topic_of_others_counts_as_none() -> None:
    world = World()
    begin = (SourceOffset("id-1", 0, 4),)
    world.catalog.put_receiver(replace(RECEIVER, topic="orders", starts=begin))
    orders = Partition("orders", 0)
    async with running(world) as mapper:
        assert await mapper.starts({orders: Committed(9, "id-1/earlier")}) == {orders: 4}
        assert await mapper.starts({orders: Committed(9, "id-1/r")}) == {orders: 9}


async def test_topic_of_others_that_another_receiver_reads_now_is_read_anew_for_it() -> None:
    world = World()
    world.topic = "orders"
    world.catalog.put_receiver(replace(RECEIVER, topic="orders"))
    world.catalog.put_export(EXPORT)
    orders = Partition("orders", 0)
    async with running(world) as mapper:
        await mapper.starts({orders: None})
        world.catalog.put_receiver(replace(RECEIVER, uid="r2", topic="orders"))
        world.catalog.put_export(replace(EXPORT, receiver_uid="r2"))
        world.chunks.put_nowait(world.chunk(5, 6))
        await world.until(lambda: ("let_go", orders) in world.calls)
        assert not world.sent
        await mapper.starts({orders: None})
        world.chunks.put_nowait(world.chunk(0, 6))
        await world.until(lambda: world.committed)

    assert world.committed == [("orders", 0, 6, 5, "id-1/r2")]


async def test_partition_rests_while_kafka_takes_no_envelopes() -> None:
    world = World()
    async with running(world) as mapper:
        world.refused_at = time.monotonic() - 120
        before = mapper.rests(SOURCE)
        world.refused_at = time.monotonic()

        assert (before, mapper.rests(SOURCE)) == (False, True)


async def test_partition_rests_while_its_events_wait_in_line_for_a_child() -> None:
    world = World()
    async with running(world) as mapper:
        before = mapper.rests(SOURCE)
        world.in_line.add(SOURCE)

        assert (before, mapper.rests(SOURCE)) == (False, True)


class Schemas:
    """The registry's, which are not to be had until `there` is set."""

    def __init__(self) -> None:
        self.there = asyncio.Event()

    async def attach(self, batch: EventBatch) -> EventBatch:
        if not self.there.is_set():
            raise SchemasMissing("away", [1])
        return batch

    async def until_found(self, ids: Collection[int]) -> None:
        await self.there.wait()


async def test_partition_without_schemas_is_put_aside_and_read_anew_when_they_are_there() -> None:
    world, schemas = World(), Schemas()
    world.catalog.put_receiver(RECEIVER)
    world.catalog.put_export(EXPORT)
    async with running(world, schemas) as mapper:
        world.chunks.put_nowait(world.chunk(0, 3))
        await world.until(lambda: ("hold_back", SOURCE) in world.calls)
        assert mapper.rests(SOURCE)
        for _ in range(50):
            await asyncio.sleep(0)
        assert world.calls == [("hold_back", SOURCE)]
        assert not world.sent
        assert IN_FLIGHT._value.get() == 0

        schemas.there.set()
        await world.until(lambda: ("let_go", SOURCE) in world.calls)
        world.chunks.put_nowait(world.chunk(0, 3))
        await world.until(lambda: world.committed)

    assert world.calls == [("hold_back", SOURCE), ("rewind", SOURCE), ("let_go", SOURCE)]
    assert [(rows.base, rows.end, rows.count) for _, _, rows in world.sent] == [(0, 3, 3)]
