"""The commands of one partition: taken in order, refused or written down at once, carried out project by project.

A project's commands run in order, projects run side by side. A command's offset is done when its task's terminal record
is committed, and so are all before it; what was not done is delivered again to the next owner, which skips tasks that
are terminal, or forgotten, and resumes the others (delivery protocol, rule 23).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from app.api.drafts import Cancelling, Deletion, ExportChange, ExportDraft, ReceiverDraft, ReplayDraft, load_draft
from app.api.limits import Limits
from app.api.replay_rules import check_export_resume, check_replay_cancel, check_replay_create
from app.api.rules import (
    check_deletion,
    check_export_change,
    check_export_create,
    check_export_pause,
    check_export_update,
    check_receiver_change,
    check_receiver_create,
)
from app.api.running import RunningTasks
from app.control import observe
from app.control.adopting import Adopting
from app.control.forgetting import Forgetting
from app.control.log import Closed, ControlLog, Interrupted
from app.control.offsets import OpenOffsets
from app.control.records import control_records, failed
from app.control.run import Run, Surroundings
from app.control.settling import Settling
from app.control.steps import Failure
from app.control.tasks import carry_out
from app.control.waiting import Waiting
from app.kafka.codec import CodecError, command_codec
from app.kafka.faust import Chunk
from app.kafka.transaction import Record
from app.model.catalog import task_key
from app.model.errors import StreamsError
from app.model.task import Command, Task, TaskStatus, TaskType
from app.observe.tracing import Attributes, traced

CLOSE_SECONDS = 5.0
"""How long a revoked partition waits for the calls under way before it lets them go."""
MAX_OPEN = 200
"""Commands of a partition that wait or run; above that no more are read until half of them are done."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """A command with its place in the partition."""

    offset: int
    command: Command


class PartitionWorker:
    """From the assignment of a commands partition to its revocation. `done(next_offset, generation)` commits.

    `ours` says of a project whether its commands come here. `hold(True)` stops the reading of the partition,
    `hold(False)` lets it go on; `failed` is called with what nobody expected, and must end the process: another one
    then goes on.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        log: ControlLog,
        running: RunningTasks,
        ours: Callable[[str], bool],
        forgetting: Forgetting,
        slots: asyncio.Semaphore,
        done: Callable[[int, int], None],
        hold: Callable[[bool], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._around, self._log, self._running, self._slots = surroundings, log, running, slots
        self._done, self._hold, self._failed = done, hold, failed
        self._held = False
        self._offsets = OpenOffsets()
        self._generation = 0
        self._queues: dict[str, asyncio.Queue[Taken]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._forgetting = forgetting
        self._opening = self._own(self._open(), "control-open")
        waiting = Waiting(log, ours, surroundings.settings.retention_hours)
        self._chores = [
            self._own(self._once_open(Settling(surroundings, log, ours).run), "control-settle"),
            self._own(self._once_open(Adopting(surroundings, log, ours).run), "control-adopt"),
            self._own(self._once_open(forgetting.run), "control-forget"),
            self._own(self._once_open(waiting.run), "control-waiting"),
        ]

    async def take(self, chunk: Chunk) -> None:
        """Write down what the commands of a chunk have begun or why they are refused, and set them to work."""
        self._generation = chunk.generation
        self._offsets.read(chunk.end)
        taken = []
        for record in chunk.records:
            command = _decode(chunk, record.offset, record.value)
            if command is not None:
                self._offsets.open(record.offset)
                taken.append(Taken(record.offset, command))
        await asyncio.wait([self._opening])
        if self._opening.cancelled():
            return  # closed before the log was open
        try:
            self._opening.result()
            await self._accept(taken)
        except Closed:
            return
        for one in self._skip_forgotten(taken):
            self._enqueue(one)
        self._report()

    async def close(self) -> None:
        """Stop where the log and Storage are in step, or after CLOSE_SECONDS anywhere."""
        self._log.stop()
        for chore in self._chores:
            chore.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._log.close()

    async def _open(self) -> None:
        await self._log.open()
        await self._forgetting.open()

    async def _once_open(self, chore: Callable[[], Awaitable[None]]) -> None:
        await asyncio.wait([self._opening])
        if not self._opening.cancelled() and self._opening.exception() is None:
            await chore()

    def _skip_forgotten(self, taken: Sequence[Taken]) -> list[Taken]:
        """What is left: commands that were done so long ago that their tasks are forgotten are done."""
        left = []
        for one in taken:
            if self._forgetting.covers(one.offset):
                _log.warning("task %s is over and forgotten: its command is skipped", one.command.task.task_id)
                self._offsets.close(one.offset)
            else:
                left.append(one)
        return left

    async def _accept(self, taken: Sequence[Taken]) -> None:
        while True:
            try:
                await self._log.transact(lambda: self._first_records(taken))
                return
            except Interrupted:
                continue

    def _first_records(self, taken: Sequence[Taken]) -> list[Record]:
        """For each task that the log does not have, and has not forgotten: `processing`, or `error` with the reason.

        What is forgotten is decided here, under the log's lock: tasks may be forgotten while a chunk waits for it.
        """
        tasks: dict[str, Task] = {}
        for one in taken:
            task = one.command.task
            key = task_key(task)
            if key in self._log.catalog.tasks or key in tasks or self._forgetting.covers(one.offset):
                continue
            others = [other for other in tasks.values() if other.status is TaskStatus.PROCESSING]
            others += [other for other in self._running.of_project(task.project_id) if task_key(other) != key]
            try:
                self._check(one.command, others)
                tasks[key] = task
            except StreamsError as error:
                tasks[key] = failed(task, Failure(error.message, error.status, error.name), task.created_ms)
        return control_records(self._log.names, list(tasks.values()))

    def _check(self, command: Command, running: Sequence[Task]) -> None:
        task, catalog = command.task, self._log.catalog
        limits = Limits.of(self._around.settings)
        project_id, receiver_id, export_id = task.project_id, task.receiver_id, task.export_id or ""
        match task.type:
            case TaskType.RECEIVER_CREATE:
                receiver = load_draft(ReceiverDraft, command.payload)
                check_receiver_create(catalog, running, limits, project_id, receiver)
            case TaskType.EXPORT_CREATE:
                export = load_draft(ExportDraft, command.payload)
                check_export_create(catalog, running, limits, project_id, receiver_id, export)
            case TaskType.EXPORT_UPDATE:
                change = load_draft(ExportChange, command.payload)
                check_export_update(catalog, running, limits, project_id, receiver_id, export_id, change)
            case TaskType.REPLAY_CREATE:
                replay = load_draft(ReplayDraft, command.payload)
                table_id = replay.table_id
                check_replay_create(catalog, running, limits, project_id, receiver_id, export_id, table_id)
            case TaskType.REPLAY_CANCEL:
                lane = load_draft(Cancelling, command.payload).lane
                check_replay_cancel(catalog, running, project_id, receiver_id, export_id, lane)
            case TaskType.DEAD_LETTERS_REQUEUE:
                check_replay_create(catalog, running, limits, project_id, receiver_id, export_id, None)
            case TaskType.EXPORT_PAUSE:
                check_export_pause(catalog, running, limits, project_id, receiver_id, export_id)
            case TaskType.EXPORT_RESUME:
                check_export_resume(catalog, running, limits, project_id, receiver_id, export_id)
            case TaskType.EXPORT_DELETE | TaskType.RECEIVER_DELETE:
                discard = load_draft(Deletion, command.payload).discard
                check_deletion(catalog, running, project_id, receiver_id, task.export_id, discard=discard)
            case TaskType.BATCH_RETRY:
                check_export_change(catalog, running, project_id, receiver_id, export_id)
            case TaskType.RECEIVER_UPDATE | TaskType.TOKENS_REFRESH | TaskType.RECEIVER_ROTATE:
                check_receiver_change(catalog, running, project_id, receiver_id)
            case TaskType.EXPORT_RETIRE | TaskType.EXPORT_SUSPEND:
                return

    def _enqueue(self, taken: Taken) -> None:
        project_id = taken.command.task.project_id
        queue = self._queues.get(project_id)
        if queue is None:
            queue = self._queues[project_id] = asyncio.Queue()
            queue.put_nowait(taken)
            self._own(self._serve(project_id, queue), f"control-project-{project_id}")
        else:
            queue.put_nowait(taken)

    async def _serve(self, project_id: str, queue: asyncio.Queue[Taken]) -> None:
        """One project's commands, in order, until there are none."""
        async with self._slots:
            while not queue.empty():
                taken = queue.get_nowait()
                task = taken.command.task
                facts: Attributes = {"streams.task": task.task_id, "streams.task.type": task.type.value}
                await traced("control.task", self._carry_out(taken.command), facts)
                self._offsets.close(taken.offset)
                self._report()
            del self._queues[project_id]

    async def _carry_out(self, command: Command) -> None:
        run = Run(self._around, self._log, command)
        key = task_key(command.task)
        while (task := self._log.catalog.tasks[key]).status is TaskStatus.PROCESSING:
            try:
                await carry_out(run)
            except Interrupted:
                _log.warning("task %s is carried on after an interruption", task.task_id)
        observe.count(task)
        took_ms = (task.finished_ms or task.created_ms) - task.created_ms
        _log.info("task %s of project %s: %s in %d ms", task.task_id, task.project_id, task.status, took_ms)

    def _report(self) -> None:
        self._done(self._offsets.done, self._generation)
        hold = len(self._offsets) > (MAX_OPEN // 2 if self._held else MAX_OPEN)
        if hold != self._held:
            self._held = hold
            self._hold(hold)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, Closed):
            self._failed(error)


def _decode(chunk: Chunk, offset: int, value: bytes | None) -> Command | None:
    """A record that is no command of ours is named in the log and passed over: it must not stop the others."""
    try:
        return command_codec.decode(value or b"")
    except (CodecError, ValueError) as error:
        _log.error("%s/%d offset %d is no command and is skipped: %s", *chunk.source, offset, error)
        return None
