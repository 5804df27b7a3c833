"""What of Faust's consumer must not run here."""

from __future__ import annotations

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
