"""What the view makes of records that are not ours, and its read barrier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from confluent_kafka import IsolationLevel, KafkaError

from app.kafka.codec import control_codec
from app.kafka.view import ControlView
from app.model.errors import KafkaUnavailable
from app.model.task import Task, TaskStatus, TaskType
from app.settings import Settings


class Read:
    """A record as the consumer gives it."""

    def __init__(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        self._offset, self._key, self._value = offset, key, value

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value


@pytest.mark.parametrize("key", [b"planet:mars", b"\xff\xfe", b"", None])
@pytest.mark.parametrize("value", [None, b"not a record"])
def test_foreign_record_does_not_hide_the_ones_behind_it(key: bytes | None, value: bytes | None) -> None:
    view = ControlView(Settings())
    task = Task("1234", "t", TaskType.RECEIVER_CREATE, TaskStatus.PROCESSING, 0, "r")
    messages: list[Any] = [Read(0, key, value), Read(1, b"task:1234/t", control_codec.encode(task))]

    view._apply(messages)

    assert view.catalog.tasks == {"1234/t": task}


class EndOfPartition(Read):
    """The word of the consumer that it has read all up to this offset."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset, None, None)

    def error(self) -> Any:
        return SimpleNamespace(code=lambda: KafkaError._PARTITION_EOF)


class Admin:
    """Says where the log ends when it is told to; keeps the isolation of each question."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[Future[Any]] = asyncio.Queue()
        self.isolations: list[IsolationLevel] = []

    def list_offsets(self, places: Any, isolation_level: IsolationLevel, **_: Any) -> dict[Any, Future[Any]]:
        self.isolations.append(isolation_level)
        answer: Future[Any] = Future()
        self.asked.put_nowait(answer)
        return dict.fromkeys(places, answer)

    async def answer(self, end: int) -> None:
        async with asyncio.timeout(60):
            (await self.asked.get()).set_result(SimpleNamespace(offset=end))


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def barrier() -> AsyncIterator[tuple[ControlView, Admin]]:
    """A view without a consumer, whose barriers are served."""
    view, admin = ControlView(Settings(_env_file=None)), Admin()  # type: ignore[call-arg]  # pydantic-settings' own
    view._loop, view._admin = asyncio.get_running_loop(), admin  # type: ignore[assignment]  # stands in for Kafka's
    view._tasks = [asyncio.create_task(view._serve_barriers())]
    yield view, admin
    for task in view._tasks:
        task.cancel()
    await asyncio.gather(*view._tasks, return_exceptions=True)


async def test_barrier_is_met_when_the_position_is_at_the_end_that_was_asked_for(
    barrier: tuple[ControlView, Admin],
) -> None:
    """The last record is at offset 7, a transaction's marker at 8: no record comes at the end, which is 9 (rule 6)."""
    view, admin = barrier
    waiting = asyncio.create_task(view.caught_up())
    await admin.answer(9)
    view._apply([Read(7, b"planet:mars", None)])  # type: ignore[list-item]  # stands in for a message
    await turns()
    met_by_the_record = waiting.done()

    view._apply([EndOfPartition(9)])  # type: ignore[list-item]  # stands in for a message
    async with asyncio.timeout(60):
        await waiting

    assert not met_by_the_record


async def test_end_of_the_log_is_the_last_stable_offset(barrier: tuple[ControlView, Admin]) -> None:
    """The high watermark lies behind what an open transaction wrote: a frozen control would stop all mappers (rule
    6).
    """
    view, admin = barrier
    waiting = asyncio.create_task(view.caught_up())
    await admin.answer(0)
    async with asyncio.timeout(60):
        await waiting

    assert admin.isolations == [IsolationLevel.READ_COMMITTED]


async def test_who_comes_while_the_end_is_asked_for_waits_for_another_answer(
    barrier: tuple[ControlView, Admin],
) -> None:
    view, admin = barrier
    first = asyncio.create_task(view.caught_up())
    await turns()
    second = asyncio.create_task(view.caught_up())
    await turns()

    await admin.answer(0)
    async with asyncio.timeout(60):
        await first
    met_by_the_first_answer = second.done()
    await admin.answer(0)
    async with asyncio.timeout(60):
        await second

    assert not met_by_the_first_answer


async def test_view_is_as_fresh_as_the_moment_in_which_the_end_was_asked_for(
    barrier: tuple[ControlView, Admin], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway counts from there how long it may accept: what was written after it is not in the view (rule 20)."""
    view, admin = barrier
    monkeypatch.setattr("app.kafka.view.time", SimpleNamespace(monotonic=lambda: 100.0))
    waiting = asyncio.create_task(view.caught_up())
    await turns()
    monkeypatch.setattr("app.kafka.view.time", SimpleNamespace(monotonic=lambda: 200.0))
    await admin.answer(0)
    async with asyncio.timeout(60):
        await waiting

    assert view.met_end_at == 100.0


async def test_view_that_does_not_get_ready_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread would go on reading, and asking a Kafka that is not there."""
    view = ControlView(Settings())
    monkeypatch.setattr("app.kafka.view.connect_admin", lambda _: None)
    monkeypatch.setattr(view, "_read", view._closing.wait)
    monkeypatch.setattr(view, "caught_up", AsyncMock(side_effect=KafkaUnavailable("away")))

    with pytest.raises(KafkaUnavailable):
        async with view:
            pass

    assert not view._thread.is_alive()
