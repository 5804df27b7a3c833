"""Which command is carried out by what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.control.creating import create_export, create_receiver
from app.control.deleting import delete_export, delete_receiver
from app.control.log import Closed, Interrupted
from app.control.replaying import cancel_replay, create_replay, requeue_letters
from app.control.retiring import retire_revisions
from app.control.retrying import retry_batch
from app.control.rotating import rotate_secret
from app.control.run import Run
from app.control.suspending import pause_export, resume_export, suspend_export
from app.control.tokens import refresh_tokens
from app.control.updating import update_export, update_receiver
from app.model.task import TaskType

_CARRIED_OUT_BY: dict[TaskType, Callable[[Run], Awaitable[None]]] = {
    TaskType.RECEIVER_CREATE: create_receiver,
    TaskType.RECEIVER_UPDATE: update_receiver,
    TaskType.RECEIVER_DELETE: delete_receiver,
    TaskType.RECEIVER_ROTATE: rotate_secret,
    TaskType.EXPORT_CREATE: create_export,
    TaskType.EXPORT_UPDATE: update_export,
    TaskType.EXPORT_DELETE: delete_export,
    TaskType.EXPORT_RETIRE: retire_revisions,
    TaskType.TOKENS_REFRESH: refresh_tokens,
    TaskType.REPLAY_CREATE: create_replay,
    TaskType.REPLAY_CANCEL: cancel_replay,
    TaskType.DEAD_LETTERS_REQUEUE: requeue_letters,
    TaskType.BATCH_RETRY: retry_batch,
    TaskType.EXPORT_PAUSE: pause_export,
    TaskType.EXPORT_RESUME: resume_export,
    TaskType.EXPORT_SUSPEND: suspend_export,
}


async def carry_out(run: Run) -> None:
    """Until the task has a terminal record. Raises Interrupted, after which it may be called again, or Closed."""
    try:
        await _CARRIED_OUT_BY[run.task.type](run)
    except (Interrupted, Closed):
        raise
    except Exception as error:
        await run.fail(run.failure(error))
