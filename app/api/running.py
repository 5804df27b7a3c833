"""The tasks under way, kept as the control log moves, and a way to wait for one.

A task that was sent but that control has not written down yet is remembered here as well (at most `MAX_SENT`, the
oldest forgotten first), so that its URL never answers 404 on the gateway that took it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from app.kafka.codec import ControlValue
from app.kafka.view import ControlView
from app.model.catalog import task_key
from app.model.task import Task, TaskStatus

MAX_SENT = 10_000


class RunningTasks:
    """Made on the view's event loop, once the view has started."""

    def __init__(self, view: ControlView) -> None:
        self._catalog = view.catalog
        self._sent: OrderedDict[str, Task] = OrderedDict()
        self._running = {key: task for key, task in view.catalog.tasks.items() if task.status is TaskStatus.PROCESSING}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        view.listen(self._on_change)

    def of_project(self, project_id: str) -> list[Task]:
        """The project's tasks that have not finished, sent ones included."""
        tasks = {**self._sent, **self._running}
        return [task for task in tasks.values() if task.project_id == project_id]

    def find(self, project_id: str, task_id: str) -> Task | None:
        """The task as the log has it, else as it was sent."""
        key = f"{project_id}/{task_id}"
        return self._catalog.tasks.get(key) or self._sent.get(key)

    def sent(self, task: Task) -> None:
        """Remember a task that is on its way to control."""
        self._sent[task_key(task)] = task
        while len(self._sent) > MAX_SENT:
            self._sent.popitem(last=False)

    def unsent(self, task: Task) -> None:
        """Kafka did not take the command."""
        self._sent.pop(task_key(task), None)

    async def taken(self, task: Task, timeout_seconds: float) -> Task | None:
        """The task's first record in the log, or None when control has not written one in time."""
        return await self._wait(task, timeout_seconds, lambda found: True)

    async def finished(self, task: Task, timeout_seconds: float) -> Task | None:
        """The finished task, or None when it is still under way after this time."""
        return await self._wait(task, timeout_seconds, lambda found: found.status is not TaskStatus.PROCESSING)

    async def _wait(self, task: Task, timeout_seconds: float, wanted: Callable[[Task], bool]) -> Task | None:
        key = task_key(task)
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    found = self._catalog.tasks.get(key)
                    if found is not None and wanted(found):
                        return found
                    await self._next_change(key)
        except TimeoutError:
            return None

    async def _next_change(self, key: str) -> None:
        future = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, [])
        waiting.append(future)
        try:
            await future
        finally:
            waiting.remove(future)
            if not waiting:
                self._waiting.pop(key, None)

    def _on_change(self, key: str, value: ControlValue | None) -> None:
        kind, _, entity = key.partition(":")
        if kind != "task":
            return
        self._sent.pop(entity, None)
        if isinstance(value, Task) and value.status is TaskStatus.PROCESSING:
            self._running[entity] = value
        else:
            self._running.pop(entity, None)
        for future in self._waiting.get(entity, []):
            if not future.done():
                future.set_result(None)
