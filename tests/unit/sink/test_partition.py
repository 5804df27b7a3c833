"""Whose envelopes a partition owner takes, and what it gives back when it is lost in the middle of a chunk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from app.kafka.codec import rows_codec
from app.kafka.faust import Chunk
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.receiver import LIVE_LANE, Export, Mapping, Revision
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


def chunk(offset: int, uid: str, size_bytes: int = 100) -> Chunk:
    """One envelope of the export with this uid."""
    rows = rows_codec.encode(Rows(uid, 1, Source("topic", 0, LIVE_LANE), 0, 1, [], 0, b"", [], 1))
    record: Any = SimpleNamespace(offset=offset, timestamp=0, value=rows)
    return Chunk("rows", 0, offset, offset + 1, [record], 1, size_bytes)


async def test_bytes_of_a_chunk_that_could_not_be_folded_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "Ledger", EmptyLedger)
    budget = ByteBudget(1000)
    parts: tuple[Any, ...] = (Settings(), 0, ViewThatLosesKafka(), None, budget, None, None, lambda *_: None)
    owner = PartitionOwner(*parts)
    owner.take(chunk(0, "unknown", size_bytes=600))
    owner.take(chunk(1, "unknown", size_bytes=300))

    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(60):
            await owner.run()

    assert budget.used_bytes == 0


EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)


class View:
    """A view of the control log; at a barrier it learns what was written before."""

    def __init__(self, *exports: Export) -> None:
        self.catalog = Catalog()
        self.written: list[Callable[[], None]] = []
        self.barriers = 0
        for export in exports:
            self.catalog.put_export(export)

    async def caught_up(self, timeout_seconds: float) -> None:
        self.barriers += 1
        if self.barriers > 1:  # the first is that of the opening
            for learn in self.written:
                learn()


class TakingOwner:
    """An export's owner that keeps the offsets of what it was given, and stages nothing."""

    first_unstaged = None
    held_bytes = 0

    def __init__(self, _around: object, definition: Callable[[], Export], *_: object) -> None:
        self.ended = False
        opened.append(definition().uid)

    def knows(self, _revision: int) -> bool:
        return True

    def take(self, position: int, rows: Rows, _appended_ms: int) -> None:
        assert not self.ended
        taken.append((rows.export_uid, position))

    def tick(self, _next_offset: int) -> None: ...

    def ended_revisions(self) -> tuple[int, ...]:
        return ()

    async def end(self) -> None:
        self.ended = True


taken: list[tuple[str, int]] = []
opened: list[str] = []


@asynccontextmanager
async def owning(view: View, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[Chunk], Any]]:
    """Gives a function that hands over a chunk and waits until the group may commit it."""
    taken.clear()
    opened.clear()
    monkeypatch.setattr(partition, "Ledger", EmptyLedger)
    monkeypatch.setattr(partition, "ExportOwner", TakingOwner)
    committable: asyncio.Queue[int] = asyncio.Queue()

    def commit(next_offset: int, _generation: int) -> None:
        committable.put_nowait(next_offset)

    parts: tuple[Any, ...] = (Settings(), 0, view, None, ByteBudget(1000), None, None, commit)
    owner = PartitionOwner(*parts)

    async def fold(chunk: Chunk) -> None:
        owner.take(chunk)
        async with asyncio.timeout(60):
            while await committable.get() < chunk.end:
                pass

    running = asyncio.create_task(owner.run())
    yield fold
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_envelopes_of_an_export_that_the_control_log_does_not_have_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has ended (delivery protocol, identity): nothing can be staged for it, so nothing holds the offset."""
    view = View()
    async with owning(view, monkeypatch) as fold:
        await fold(chunk(0, "ended"))
        await fold(chunk(1, "ended"))

    assert taken == []
    assert view.barriers == 2, "uids never come back, so it is asked for once"


async def test_export_is_unknown_only_behind_a_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    view = View()
    view.written.append(lambda: view.catalog.put_export(EXPORT))
    async with owning(view, monkeypatch) as fold:
        await fold(chunk(0, "e"))

    assert taken == [("e", 0)]


async def test_envelopes_of_an_export_that_ended_are_dropped_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    view = View(EXPORT)
    async with owning(view, monkeypatch) as fold:
        await fold(chunk(0, "e"))
        view.catalog.drop_export("1/a/e")
        await fold(chunk(1, "other"))
        await fold(chunk(2, "e"))

    assert taken == [("e", 0)]


@pytest.mark.parametrize(("rows_partition", "expected"), [(0, ["e"]), (1, [])])
async def test_deleted_export_of_which_nothing_ever_came_is_owned_too(
    monkeypatch: pytest.MonkeyPatch, rows_partition: int, expected: list[str]
) -> None:
    """By the owner of its rows partition, who says that it is over: its token, and its topic, would stay for ever."""
    view = View(replace(EXPORT, drain_to=(), rows_partition=rows_partition))
    async with owning(view, monkeypatch) as fold:
        await fold(chunk(0, "other"))

    assert opened == expected
