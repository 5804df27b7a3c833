"""What of Faust's consumer must not run here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types.tuples import TP

from app.kafka.faust.consumer import ChunkConsumer


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
