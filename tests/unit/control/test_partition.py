"""Commands of one partition whose tasks the log has finished already: skipped, committed in order, read in measure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from trace_receiver import facts, receiving

from app.control import partition
from app.control.forgetting import Forgetting
from app.control.log import ControlLog
from app.control.partition import MAX_OPEN, PartitionWorker
from app.control.run import Run, Surroundings
from app.kafka.codec import command_codec
from app.kafka.faust import Chunk
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.catalog import Catalog
from app.model.task import Command, Task, TaskStatus, TaskType
from app.observe.tracing import tracing
from app.settings import Settings


@dataclass
class Log:
    """Stands in for the control log where nothing is to be written."""

    catalog: Catalog = field(default_factory=Catalog)
    names: Names = field(default_factory=lambda: Names("test"))

    may_open: asyncio.Event = field(default_factory=asyncio.Event)
    opening: asyncio.Event = field(default_factory=asyncio.Event)
    meanwhile: Callable[[], None] = lambda: None
    """What happens while a write waits for its turn."""

    async def open(self) -> None:
        self.opening.set()
        await self.may_open.wait()

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        self.meanwhile()
        assert decide() == []

    def stop(self) -> None: ...

    async def close(self) -> None: ...


@dataclass
class Forgets:
    """Stands in for the forgetting of tasks: commands before an offset are over."""

    before: int = 0

    async def open(self) -> None: ...

    async def run(self) -> None: ...

    def covers(self, offset: int) -> bool:
        return offset < self.before


@dataclass
class Fetched:
    offset: int
    value: bytes


class Bench:
    """A worker that may not begin a task before `slots.release()`; what it said to the app."""

    def __init__(self) -> None:
        settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
        self.log, self.forgetting, self.slots = Log(), Forgets(), asyncio.Semaphore(0)
        self.done: list[int] = []
        self.holds: list[bool] = []
        self._more = asyncio.Event()
        self.worker = PartitionWorker(
            Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1),
            cast(ControlLog, self.log),
            cast(Any, None),
            lambda _project_id: True,
            cast(Forgetting, self.forgetting),
            self.slots,
            self._done,
            self.holds.append,
            lambda error: pytest.fail(repr(error)),
        )

    def _done(self, offset: int, generation: int) -> None:
        self.done.append(offset)
        self._more.set()

    async def finish(self, next_offset: int) -> None:
        """Let the tasks begin, and wait until this offset is committed."""
        self.slots.release()
        async with asyncio.timeout(60):
            while self.done[-1] < next_offset:
                self._more.clear()
                await self._more.wait()

    def chunk(self, values: Sequence[bytes]) -> Chunk:
        records = cast(Any, [Fetched(offset, value) for offset, value in enumerate(values)])
        return Chunk("commands", 0, 0, len(values), records, 1, 1)

    def finished_command(self, number: int) -> bytes:
        """A command whose task is terminal in the log."""
        task = Task("1", f"r{number}", TaskType.RECEIVER_CREATE, TaskStatus.SUCCESS, 1, f"r{number}", finished_ms=2)
        self.log.catalog.put_task(task)
        return command_codec.encode(Command(task, "{}", b""))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.log.may_open.set()
    yield bench
    bench.slots.release()  # or closing would wait for tasks that may not begin
    await bench.worker.close()


async def test_finished_tasks_are_skipped_and_their_commands_committed(bench: Bench) -> None:
    await bench.worker.take(bench.chunk([bench.finished_command(number) for number in range(3)]))
    before = bench.done[-1]

    await bench.finish(3)

    assert (before, bench.done[-1], bench.holds) == (0, 3, [])


async def test_commands_whose_tasks_are_forgotten_are_skipped_and_committed(bench: Bench) -> None:
    bench.forgetting.before = 2
    commands = [bench.finished_command(number) for number in range(3)]
    bench.log.catalog.tasks = {key: task for key, task in bench.log.catalog.tasks.items() if key == "1/r2"}

    await bench.worker.take(bench.chunk(commands))

    assert bench.done[-1] == 2


async def test_command_whose_task_is_forgotten_while_it_waits_for_the_log_is_skipped(bench: Bench) -> None:
    command = bench.finished_command(0)

    def forget() -> None:
        bench.log.catalog.tasks.clear()
        bench.forgetting.before = 1

    bench.log.meanwhile = forget

    await bench.worker.take(bench.chunk([command]))

    assert bench.done[-1] == 1


async def test_record_that_is_no_command_is_passed_over(bench: Bench) -> None:
    await bench.worker.take(bench.chunk([b"nonsense", bench.finished_command(1), b""]))
    before = bench.done[-1]

    await bench.finish(3)

    assert before == 1


async def test_too_many_open_commands_stop_the_reading_until_half_are_done(bench: Bench) -> None:
    count = MAX_OPEN + 1
    await bench.worker.take(bench.chunk([bench.finished_command(number) for number in range(count)]))
    before = list(bench.holds)

    await bench.finish(count)

    assert (before, bench.holds) == ([True], [True, False])


async def test_closing_while_the_log_cannot_be_opened_lets_the_reading_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "CLOSE_SECONDS", 0.01)
    bench = Bench()
    taking = asyncio.create_task(bench.worker.take(bench.chunk([bench.finished_command(1)])))
    async with asyncio.timeout(60):
        await bench.log.opening.wait()

    await bench.worker.close()
    async with asyncio.timeout(60):
        await asyncio.wait([taking])

    assert (taking.cancelled(), bench.done) == (False, [])


async def test_task_is_traced_where_traces_are_asked_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as traces:
        for name, value in traces.environment.items():
            monkeypatch.setenv(name, value)
        with tracing("control"):
            await bench.worker.take(bench.chunk([bench.finished_command(1)]))
            await bench.finish(1)

    (span,) = traces.spans("control.task")
    assert facts(span) == {"streams.task": "r1", "streams.task.type": "receiver.create"}


async def test_projects_run_side_by_side_and_a_projects_commands_in_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivery protocol, rule 23."""
    begun: list[str] = []
    both, go_on = asyncio.Event(), asyncio.Event()

    async def carry_out(run: Run) -> None:
        begun.append(run.task.task_id)
        if len(begun) == 2:
            both.set()
        await go_on.wait()
        bench.log.catalog.put_task(replace(run.task, status=TaskStatus.SUCCESS, finished_ms=2))

    monkeypatch.setattr(partition, "carry_out", carry_out)
    tasks = [Task(p, t, TaskType.RECEIVER_CREATE, TaskStatus.PROCESSING, 1, "r") for p, t in ("1a", "1b", "2c")]
    for task in tasks:
        bench.log.catalog.put_task(task)
        bench.slots.release()
    await bench.worker.take(bench.chunk([command_codec.encode(Command(task, "{}", b"")) for task in tasks]))
    async with asyncio.timeout(60):
        await both.wait()
    together = set(begun)

    go_on.set()
    await bench.finish(3)

    assert (together, begun[2:]) == ({"a", "c"}, ["b"])
