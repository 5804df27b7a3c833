"""What a partition owner gives back when it is lost in the middle of a chunk."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.codec import rows_codec
from app.kafka.faust import Chunk
from app.model.errors import KafkaUnavailable
from app.model.receiver import LIVE_LANE
from app.model.rows import Rows, Source
from app.settings import Settings
from app.sink import partition
from app.sink.budget import ByteBudget
from app.sink.ledger import LedgerContent
from app.sink.partition import PartitionOwner


class EmptyLedger:
    def __init__(self, *arguments: object) -> None:
        """Nothing is stored."""

    async def open(self) -> LedgerContent:
        return LedgerContent()

    async def serve(self) -> None:
        await asyncio.Event().wait()

    def close(self) -> None:
        """Nothing is held."""


class ViewThatLosesKafka:
    """Meets the end of the control log once, and then never again."""

    def __init__(self) -> None:
        self.catalog = SimpleNamespace(exports_by_uid={})
        self.met = 0

    async def caught_up(self, timeout_seconds: float) -> None:
        self.met += 1
        if self.met > 1:
            raise KafkaUnavailable("away")


async def test_bytes_of_a_chunk_that_could_not_be_folded_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "Ledger", EmptyLedger)
    budget = ByteBudget(1000)
    parts: tuple[Any, ...] = (Settings(), 0, ViewThatLosesKafka(), None, budget, None, None, lambda *_: None)
    owner = PartitionOwner(*parts)
    rows = rows_codec.encode(Rows("unknown", 1, Source("topic", 0, LIVE_LANE), 0, 1, [], 0, b"", [], 1))
    record: Any = SimpleNamespace(offset=0, timestamp=0, value=rows)
    owner.take(Chunk("rows", 0, 0, 1, [record], 1, 600))
    owner.take(Chunk("rows", 0, 1, 2, [record], 1, 300))

    with pytest.raises(ExceptionGroup):
        await owner.run()

    assert budget.used_bytes == 0
