"""What of Faust's consumer must not run here."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types.tuples import TP

from app.kafka.faust.chunk import Committed, Partition
from app.kafka.faust.consumer import ChunkConsumer, start_at_commits
from app.kafka.faust.thread import Lease

PLACE = Partition("topic", 0)


class OneThread:
    """The consumer's thread with one partition; under which leases it could cut a chunk while it seeks is kept."""

    def __init__(self) -> None:
        self.leases: dict[Partition, Lease] = {}
        self.held_back: frozenset[Partition] = frozenset()
        self.in_force: list[dict[Partition, Lease]] = []

    async def call_thread(self, function: Any, *arguments: Any) -> Any:
        return await function(*arguments)

    async def assigned(self) -> set[Partition]:
        return {PLACE}

    async def committed(self, _partitions: Any) -> dict[Partition, Committed]:
        return {}

    async def seek_to(self, starts: dict[Partition, int], _resumed: Any) -> dict[Partition, Lease]:
        self.in_force.append(dict(self.leases))
        return {source: Lease(len(self.in_force), offset, offset, False) for source, offset in starts.items()}


async def test_nothing_is_cut_while_it_is_sought_again_without_a_revocation_between() -> None:
    """A chunk of the old lease would be dropped, and the new lease would go on behind it."""
    thread, told = OneThread(), list[tuple[str, frozenset[Partition]]]()
    consumer = ChunkConsumer.__new__(ChunkConsumer)
    app: Any = SimpleNamespace(anchors=frozenset(), generation=0)
    consumer.app = app
    consumer._thread = cast(Any, thread)
    consumer._leases, consumer._announced, consumer._done, consumer._committed = {}, frozenset(), {}, {}
    consumer._revocations, consumer._giving_up, consumer._joined = 0, False, False
    consumer._committing, consumer.starts = asyncio.Lock(), start_at_commits

    async def assigned(partitions: frozenset[Partition]) -> None:
        told.append(("assigned", partitions))

    async def revoked(partitions: frozenset[Partition]) -> None:
        told.append(("revoked", partitions))

    consumer.assigned_callbacks, consumer.revoked_callbacks = [assigned], [revoked]

    await consumer.perform_seek()
    await consumer.perform_seek()

    assert thread.in_force == [{}, {}]
    assert told == [("assigned", {PLACE}), ("revoked", {PLACE}), ("assigned", {PLACE})]
    assert consumer._leases[PLACE].generation == 2


async def test_book_keeping_that_chunks_do_not_go_through_reports_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = ChunkConsumer.__new__(ChunkConsumer)
    complaints: list[TP] = []

    def complain(_self: Any, _now: float, tp: TP) -> None:
        complaints.append(tp)

    monkeypatch.setattr(ChunkConsumer, "assignment", lambda _self: {TP("topic", 0)})
    monkeypatch.setattr(ChunkConsumer, "verify_event_path", complain)

    await consumer.verify_all_partitions_active()

    assert complaints == []


@pytest.mark.parametrize(
    ("seeked", "unassigned", "rebalancing", "joined"),
    [
        (False, False, False, False),
        (True, False, False, True),
        (False, True, False, True),
        (False, True, True, False),
    ],
    ids=["at first", "with partitions", "a stand-in", "a stand-in in a rebalance"],
)
def test_member_has_joined_when_it_has_its_part_which_may_be_nothing(
    seeked: bool, unassigned: bool, rebalancing: bool, joined: bool
) -> None:
    consumer = ChunkConsumer.__new__(ChunkConsumer)
    app: Any = SimpleNamespace(unassigned=unassigned, rebalancing=rebalancing)
    consumer.app, consumer._joined = app, seeked

    assert consumer.joined is joined
