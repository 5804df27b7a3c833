"""Forgetting tasks: those that succeeded after an hour, those that failed, or never finished, after two days.

A command that is delivered again is skipped because its task is terminal in the log (delivery protocol, rule 23); with
its task forgotten it would be carried out anew: a receiver that was deleted since would be back. So two things hold.
A task is forgotten only when the group has committed everything that was in the commands partition when its record was
already in the log, its own command among it. And the transaction that forgets it says so in the log, as a `Forgotten`:
commands before that offset are skipped for ever. The second is needed because a commit is no lasting word: the group's
offsets are deleted after a week without control, an operator may set them back, and a process that slept through a
rebalance still holds what it had read. Clocks decide only how long a task can be looked at, never what is done twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from app.control.log import ControlLog, Interrupted
from app.control.records import control_records, failed
from app.control.run import Surroundings, now_ms
from app.control.steps import Failure
from app.control.topics import find_topic
from app.kafka.transaction import Record
from app.model.catalog import task_key
from app.model.errors import KafkaUnavailable
from app.model.task import Forgotten, Task, TaskStatus
from app.settings import Settings

TASKS_AT_ONCE = 500
"""Tasks of one transaction: it must be over long before its time-out."""
NEVER_FINISHED = Failure(
    "The task was never finished: its command is not there any more. What it had made in Storage may still be there.",
    500,
)
_AGAIN_SECONDS = 0.5
_HOUR_MS = 3_600_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ages:
    """How long tasks are kept, in milliseconds. Source: Buffer API, tasks."""

    finished_ms: int
    failed_ms: int

    @classmethod
    def of(cls, settings: Settings) -> Ages:
        return cls(int(settings.finished_task_hours * _HOUR_MS), int(settings.failed_task_hours * _HOUR_MS))


@dataclass(frozen=True)
class Due:
    """What is to be forgotten, and what is to end in error because nobody carries it out."""

    over: tuple[Task, ...]
    abandoned: tuple[Task, ...]

    def __bool__(self) -> bool:
        return bool(self.over or self.abandoned)


def due_tasks(now_ms: int, tasks: Iterable[Task], ages: Ages) -> Due:
    """Ages count from the end of a task, of one that has none from its beginning; so an abandoned task is kept as
    long again after it was given up.

    Only the caller knows whether a task is carried out: it must look (see the module).
    """
    over: list[Task] = []
    abandoned: list[Task] = []
    for task in tasks:
        since_ms = task.created_ms if task.finished_ms is None else task.finished_ms
        age_ms = ages.finished_ms if task.status is TaskStatus.SUCCESS else ages.failed_ms
        if now_ms - since_ms >= age_ms:
            (abandoned if task.status is TaskStatus.PROCESSING else over).append(task)
    return Due(tuple(over), tuple(abandoned))


class Forgetting:
    """For the projects of one commands partition: `ours` says which those are.

    `committed` commits what is done and answers the group's offset of the partition, or None when we are not in the
    group any more.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        log: ControlLog,
        partition: int,
        ours: Callable[[str], bool],
        committed: Callable[[], Awaitable[int | None]],
    ) -> None:
        self._around, self._log, self._partition = surroundings, log, partition
        self._ours, self._committed = ours, committed
        self._topic_id = ""

    async def open(self) -> None:
        """Call it when the log is open, before `covers`."""
        while True:
            try:
                self._topic_id = (await self._place())[0]
                return
            except KafkaUnavailable as trouble:
                _log.warning("%s", trouble.message)
                await asyncio.sleep(_AGAIN_SECONDS)

    def covers(self, offset: int) -> bool:
        """Whether the command at this offset was done long ago, so that its task may be forgotten."""
        return offset < self._before

    async def run(self) -> None:
        """Until cancelled. Raises Closed when the partition is not ours any more."""
        while True:
            await asyncio.sleep(self._around.settings.task_check_seconds)
            try:
                await self._forget()
            except (KafkaUnavailable, Interrupted) as trouble:
                _log.warning("no tasks are forgotten now: %s", trouble)

    @property
    def _before(self) -> int:
        """A topic that was made anew begins at offset 0 again: what was said of another one counts no more."""
        found = self._log.catalog.forgotten.get(str(self._partition))
        return found.offset if found is not None and found.topic_id == self._topic_id else 0

    async def _forget(self) -> None:
        tasks = [task for task in self._log.catalog.tasks.values() if self._ours(task.project_id)]
        due = due_tasks(now_ms(), tasks, Ages.of(self._around.settings))
        if not due:
            return
        topic_id, end = await self._place()  # after the look at the log: these tasks' commands are all before it
        if topic_id != self._topic_id or not await self._is_committed(end):
            return
        mark = Forgotten(topic_id, self._partition, end)
        remaining = iter((*due.abandoned, *due.over))
        while chunk := list(islice(remaining, TASKS_AT_ONCE)):
            await self._log.transact(lambda some=chunk: self._records(mark, some))  # type: ignore[misc]  # mypy knows no defaults of lambdas
        _log.info("%d tasks are forgotten, %d were never finished", len(due.over), len(due.abandoned))

    def _records(self, mark: Forgotten, tasks: Sequence[Task]) -> list[Record]:
        """Of the tasks that are as they were: the log may have moved since."""
        same = [task for task in tasks if self._log.catalog.tasks.get(task_key(task)) == task]
        ended = [task for task in same if task.status is not TaskStatus.PROCESSING]
        given_up = [failed(task, NEVER_FINISHED, now_ms()) for task in same if task.status is TaskStatus.PROCESSING]
        if not same:
            return []
        moves = mark.offset > self._before
        return control_records(self._log.names, [*([mark] if moves else []), *given_up], ended)

    async def _is_committed(self, end: int) -> bool:
        """Wait until it is, at most as long as until the next look: a command that waits for Storage holds it up."""
        until = time.monotonic() + self._around.settings.task_check_seconds
        while (offset := await self._committed()) is not None:
            if offset >= end:
                return True
            if time.monotonic() > until:
                break
            await asyncio.sleep(_AGAIN_SECONDS)
        return False

    async def _place(self) -> tuple[str, int]:
        """The commands topic's id, and where the partition ends now."""
        facts = await find_topic(self._around.admin, self._log.names.commands)
        if facts is None:
            raise KafkaUnavailable(f"Topic {self._log.names.commands} is not there.")
        return facts.topic_id, facts.ends[self._partition]
