"""Which tasks are forgotten and when, and that it is done only where no command of theirs can come again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.control import forgetting
from app.control.forgetting import NEVER_FINISHED, Ages, Forgetting, due_tasks
from app.control.log import ControlLog
from app.control.records import TopicFacts
from app.control.run import Surroundings
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.catalog import Catalog, task_key
from app.model.task import Forgotten, Task, TaskStatus, TaskType
from app.settings import Settings

HOUR = 3_600_000
NOW = 1_000 * HOUR
AGES = Ages(HOUR, 48 * HOUR)
SUCCESS, ERROR, PROCESSING = TaskStatus.SUCCESS, TaskStatus.ERROR, TaskStatus.PROCESSING


def task_of(status: TaskStatus, created: int, finished: int | None = None, name: str = "r", project: str = "1") -> Task:
    return Task(project, name, TaskType.RECEIVER_CREATE, status, created, name, finished_ms=finished)


@pytest.mark.parametrize(
    ("task", "over", "abandoned"),
    [
        (task_of(SUCCESS, NOW - 2 * HOUR, NOW - HOUR), True, False),
        (task_of(SUCCESS, NOW - 2 * HOUR, NOW - HOUR + 1), False, False),
        (task_of(ERROR, NOW - 50 * HOUR, NOW - 48 * HOUR), True, False),
        (task_of(ERROR, NOW - 50 * HOUR, NOW - 48 * HOUR + 1), False, False),
        (task_of(PROCESSING, NOW - 48 * HOUR), False, True),
        (task_of(PROCESSING, NOW - 48 * HOUR + 1), False, False),
        (task_of(SUCCESS, NOW + HOUR, NOW + HOUR), False, False),
    ],
)
def test_task_is_due_at_its_age(task: Task, over: bool, abandoned: bool) -> None:
    due = due_tasks(NOW, [task], AGES)

    assert (task in due.over, task in due.abandoned) == (over, abandoned)


@given(
    st.lists(st.tuples(st.sampled_from(TaskStatus), st.integers(0, 2 * NOW), st.integers(0, 2 * NOW)), max_size=20),
    st.integers(0, NOW),
)
def test_what_is_due_stays_due_until_it_is_forgotten(
    histories: list[tuple[TaskStatus, int, int]], later_ms: int
) -> None:
    tasks = [
        task_of(status, created, None if status is PROCESSING else finished, str(number))
        for number, (status, created, finished) in enumerate(histories)
    ]

    now, later = due_tasks(NOW, tasks, AGES), due_tasks(NOW + later_ms, tasks, AGES)

    assert set(now.over) <= set(later.over)
    assert set(now.abandoned) <= set(later.abandoned)
    assert all(task.status is PROCESSING for task in later.abandoned)
    assert all(task.status is not PROCESSING for task in later.over)


class Log:
    """The control log and its view: what is written is there at once. `before_writing` comes in between."""

    def __init__(self, *tasks: Task) -> None:
        self.catalog, self.names = Catalog(), Names("test")
        self.written: list[list[Record]] = []
        self.before_writing: Callable[[], None] = lambda: None
        for task in tasks:
            self.catalog.put_task(task)

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        self.before_writing()
        records = list(decide())
        if records:
            self.written.append(records)
        for record in records:
            value = None if record.value is None else control_codec.decode(record.value)
            if value is None:
                self.catalog.drop_task(str(record.key).partition(":")[2])
            elif isinstance(value, Forgotten):
                self.catalog.put_forgotten(value)
            else:
                self.catalog.put_task(cast(Task, value))


class Kafka:
    """The commands topic, with one partition, and what the group has committed, one answer after the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, end: int, *committed: int | None) -> None:
        self.topic_id, self.end, self.asked = "topic", end, 0
        self._committed = list(committed)

        async def find_topic(_admin: Any, name: str) -> TopicFacts:
            return TopicFacts(name, self.topic_id, (self.end,))

        monkeypatch.setattr(forgetting, "find_topic", find_topic)
        monkeypatch.setattr(forgetting, "_AGAIN_SECONDS", 0)

    async def committed(self) -> int | None:
        self.asked += 1
        return self._committed.pop(0) if len(self._committed) > 1 else self._committed[0]


async def look_once(log: Log, kafka: Kafka, wait_seconds: float = 900) -> Forgetting:
    """Open and look for tasks to forget, once. All tasks of these tests began at 1 ms after the epoch."""
    settings = Settings(_env_file=None, task_check_seconds=wait_seconds)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    found = Forgetting(around, cast(ControlLog, log), 0, lambda project: project == "1", kafka.committed)
    await found.open()
    async with asyncio.timeout(60):
        await found._forget()
    return found


async def test_task_is_forgotten_when_its_command_is_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    log, kafka = Log(task_of(SUCCESS, 1, 2)), Kafka(monkeypatch, 7, 5, 6, 7)

    found = await look_once(log, kafka)

    assert (log.catalog.tasks, kafka.asked) == ({}, 3)
    assert (found.covers(6), found.covers(7)) == (True, False)


@pytest.mark.parametrize("committed", [6, None], ids=["not committed in time", "not ours any more"])
async def test_task_whose_command_may_come_again_is_kept(
    monkeypatch: pytest.MonkeyPatch, committed: int | None
) -> None:
    task, left = task_of(SUCCESS, 1, 2), task_of(PROCESSING, 1, name="s")
    log, kafka = Log(task, left), Kafka(monkeypatch, 7, committed)

    found = await look_once(log, kafka, wait_seconds=0.01)

    assert (list(log.catalog.tasks.values()), log.written, found.covers(0)) == ([task, left], [], False)


async def test_task_that_nobody_carries_out_ends_in_error(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(task := task_of(PROCESSING, 1))

    await look_once(log, Kafka(monkeypatch, 7, 7))

    found = log.catalog.tasks[task_key(task)]
    assert (found.status, found.error, found.error_status) == (ERROR, NEVER_FINISHED.message, 500)
    assert found.finished_ms is not None


async def test_other_projects_tasks_and_young_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    young = task_of(SUCCESS, 1, 2**62)
    log = Log(young, other := task_of(SUCCESS, 1, 2, project="2"))

    await look_once(log, Kafka(monkeypatch, 7, 7))

    assert list(log.catalog.tasks.values()) == [young, other]
    assert log.written == []


async def test_task_that_changed_meanwhile_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    log, changed = Log(task_of(PROCESSING, 1)), task_of(SUCCESS, 1, 2)
    log.before_writing = lambda: log.catalog.put_task(changed)

    await look_once(log, Kafka(monkeypatch, 7, 7))

    assert list(log.catalog.tasks.values()) == [changed]


async def test_many_tasks_are_forgotten_in_several_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "TASKS_AT_ONCE", 2)
    log = Log(*(task_of(SUCCESS, 1, 2, str(number)) for number in range(5)))

    await look_once(log, Kafka(monkeypatch, 7, 7))

    assert [len(records) for records in log.written] == [3, 2, 1]  # the first says besides how far commands are done
    assert log.catalog.tasks == {}


async def test_what_was_said_of_an_earlier_topic_covers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log, kafka = Log(), Kafka(monkeypatch, 0, 0)
    log.catalog.put_forgotten(Forgotten("an earlier topic", 0, 100))

    found = await look_once(log, kafka)

    assert not found.covers(0)
