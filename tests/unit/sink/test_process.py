"""A partition whose ledger was lost: when it is opened again, and what becomes of chunks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app.kafka.faust import Chunk, Item, Partition
from app.kafka.transaction import Fenced
from app.model.errors import KafkaUnavailable
from app.settings import Settings
from app.sink import process
from app.sink.process import Sink


class ScriptedApp:
    """A group that takes a commit when it is asked for the third time."""

    def __init__(self) -> None:
        self.asked = 0
        self.was_asked = asyncio.Event()
        self.never_takes = False
        self.rewound: list[Partition] = []
        self.crashed: list[BaseException] = []
        self.went_on = asyncio.Event()

    async def commit_now(self) -> bool:
        self.asked += 1
        self.was_asked.set()
        if self.never_takes:
            await asyncio.Event().wait()
        return self.asked >= 3

    async def rewind(self, partitions: list[Partition]) -> None:
        self.rewound += partitions
        self.went_on.set()

    async def crash(self, error: BaseException) -> None:
        self.crashed.append(error)
        self.went_on.set()


class ScriptedOwner:
    """Loses its ledger at the first opening, and keeps it at the next."""

    lost: list[Exception]
    is_open = waits_for_kafka = False

    def __init__(self, *arguments: object) -> None:
        self.taken: list[Chunk] = []

    async def run(self) -> None:
        if self.lost:
            raise self.lost.pop()
        await asyncio.Event().wait()

    def take(self, chunk: Chunk) -> None:
        self.taken.append(chunk)


Scripted = Callable[..., tuple[Sink, ScriptedApp]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """A sink that loses its partition's ledger by these errors, the last one first, and the group that it is in."""

    def make(*lost: Exception) -> tuple[Sink, ScriptedApp]:
        monkeypatch.setattr(process, "PartitionOwner", ScriptedOwner)
        monkeypatch.setattr(process, "_REOPEN_SECONDS", 0)
        monkeypatch.setattr(ScriptedOwner, "lost", list(lost), raising=False)
        app = ScriptedApp()
        parts: tuple[Any, ...] = (Settings(), app, None, None, None)
        return Sink(*parts), app

    return make


@pytest.mark.parametrize("lost", [Fenced("taken"), KafkaUnavailable("away"), ExceptionGroup("both", [Fenced("taken")])])
async def test_partition_is_opened_again_as_soon_as_the_group_takes_a_commit(
    scripted: Scripted, lost: Exception
) -> None:
    sink, app = scripted(lost)

    await sink.assigned([Partition("streams.rows", 4)])
    async with asyncio.timeout(60):
        await app.went_on.wait()
    owners = list(sink.owners)
    await sink.revoked([])

    assert (app.rewound, app.crashed, owners) == ([Partition("streams.rows", 4)], [], [4])


async def test_chunk_of_a_partition_without_ledger_is_not_taken(scripted: Scripted) -> None:
    sink, app = scripted(Fenced("taken"))
    app.never_takes = True
    await sink.assigned([Partition("streams.rows", 4)])
    owner: Any = sink.owners[4]
    async with asyncio.timeout(60):
        await app.was_asked.wait()

    async def items() -> AsyncIterator[Item]:
        yield Chunk("streams.rows", 4, 0, 1, [], 1, 100)

    await sink.consume(items())
    await sink.revoked([])

    assert owner.taken == []


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_memory_that_ran_out_is_told_with_what_to_do(error: Exception) -> None:
    told = process._in_words(ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("other"), error]))

    assert told.startswith("other; out of memory: give the process more")


def resting(sink: Sink) -> bool:
    return sink.rests(Partition("streams.rows", 4))


async def test_partition_that_waits_until_kafka_takes_transactions_rests(scripted: Scripted) -> None:
    """Kafka answers, but without a coordinator of transactions each opening of the ledger ends so."""
    sink, app = scripted(KafkaUnavailable("no coordinator"))
    await sink.assigned([Partition("streams.rows", 4)])
    at_first = resting(sink)
    async with asyncio.timeout(60):
        await app.went_on.wait()
    opening: Any = sink.owners[4]

    waiting = resting(sink)
    opening.is_open = True
    opened = resting(sink)
    opening.waits_for_kafka = True
    refused = resting(sink)
    await sink.revoked([])

    assert (at_first, waiting, opened, refused) == (False, True, False, True)


async def test_partition_that_another_process_took_does_not_rest(scripted: Scripted) -> None:
    sink, app = scripted(Fenced("taken"), KafkaUnavailable("away"))
    app.never_takes = True
    await sink.assigned([Partition("streams.rows", 4)])
    async with asyncio.timeout(60):
        await app.was_asked.wait()

    rests = resting(sink)
    await sink.revoked([])

    assert not rests
