"""Tasks: how a request becomes one, how a call waits for one, and their two URLs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.answers import TaskAnswer, show_task, task_url
from app.api.auth import Caller
from app.api.context import Context, InContext, TokenHeader
from app.model.errors import NotFound, StreamsError
from app.model.task import Task, TaskStatus

ACCEPT_SECONDS = 2.0
"""How long a request waits for control to take its command before it is answered 202 without that."""

router = APIRouter()


class TaskFailed(StreamsError):
    """The task that a call waited for ended in error, with the status and the name that control gave it."""

    def __init__(self, task: Task) -> None:
        super().__init__(task.error or "The task failed.")
        self.status = task.error_status or 500
        self.name = task.error_name or "buffer.taskFailed"


class TaskTooSlow(StreamsError):
    """The task goes on, but the call does not wait any longer."""

    status = 504
    name = "buffer.taskTimeout"


async def start_task(
    context: Context, caller: Caller, task: Task, payload: str, warnings: list[str] | None = None
) -> TaskAnswer:
    """Send the command; the task, as soon as control has written it down (so that every gateway knows it).

    When control refuses at once (another gateway was quicker: 404, 409), that is the answer. When it takes no
    command within ACCEPT_SECONDS, the task is answered all the same, known to this gateway alone until control does.
    """
    await _send(context, caller, task, payload)
    taken = await context.running.taken(task, ACCEPT_SECONDS)
    if taken is not None and taken.status is TaskStatus.ERROR and taken.error_status in (404, 409):
        raise TaskFailed(taken)
    return show_task(task, context.settings.public_address, warnings)


async def run_task(context: Context, caller: Caller, task: Task, payload: str) -> Task:
    """Send the command and wait until its task has succeeded.

    Raises TaskFailed, or TaskTooSlow (504, with the task's URL) after `synchronous_seconds`.
    """
    seconds = context.settings.synchronous_seconds
    await _send(context, caller, task, payload)
    finished = await context.running.finished(task, seconds)
    if finished is None:
        url = task_url(task, context.settings.public_address)
        raise TaskTooSlow(f'The task has not finished within {seconds:g} s and goes on. Follow it at "{url}".')
    if finished.status is TaskStatus.ERROR:
        raise TaskFailed(finished)
    return finished


@router.get("/v1/tasks/{task_id:path}", response_model_exclude_none=True)
async def get_task(task_id: Annotated[str, Path(max_length=500)], context: InContext, token: TokenHeader) -> TaskAnswer:
    """A task by its id, as its `url` says."""
    caller = await context.enter(token)
    return _find(context, caller, task_id, task_id)


@router.get("/v1/receivers/{receiver_id}/tasks/{task_id:path}", response_model_exclude_none=True)
async def get_task_of_receiver(
    receiver_id: str, task_id: Annotated[str, Path(max_length=500)], context: InContext, token: TokenHeader
) -> TaskAnswer:
    """A task of a receiver, by its id or by the part of its id after the receiver's."""
    caller = await context.enter(token)
    prefix = f"{receiver_id}/"
    return _find(context, caller, task_id if task_id.startswith(prefix) else prefix + task_id, task_id)


def _find(context: Context, caller: Caller, task_id: str, asked: str) -> TaskAnswer:
    task = context.running.find(caller.project_id, task_id)
    if task is None:
        raise NotFound(f'Task "{asked}" not found in the project.', "buffer.taskNotFound")
    return show_task(task, context.settings.public_address)


async def _send(context: Context, caller: Caller, task: Task, payload: str) -> None:
    context.running.sent(task)
    try:
        await context.commands.send(task, payload, caller.token)
    except BaseException:
        context.running.unsent(task)
        raise
