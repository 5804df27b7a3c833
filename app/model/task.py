"""Commands and the tasks that carry them out."""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

_RANDOM = string.ascii_letters + string.digits


class TaskType(StrEnum):
    """What a command asks for; also the middle of a task's id. Source: Buffer API, tasks."""

    RECEIVER_CREATE = "receiver.create"
    RECEIVER_DELETE = "receiver.delete"
    RECEIVER_UPDATE = "receiver.update"
    EXPORT_CREATE = "export.create"
    EXPORT_UPDATE = "export.update"
    EXPORT_DELETE = "export.delete"
    TOKENS_REFRESH = "tokens.refresh"
    REPLAY_CREATE = "replay.create"
    REPLAY_CANCEL = "replay.cancel"
    DEAD_LETTERS_REQUEUE = "dead-letters.requeue"
    RECEIVER_ROTATE = "receiver.rotate"
    BATCH_RETRY = "batch.retry"
    """Ours, as those before it and after it are."""
    EXPORT_RETIRE = "export.retire"
    """Not a person's: the sink says that revisions of an export have nothing on their way any more."""
    EXPORT_PAUSE = "export.pause"
    EXPORT_RESUME = "export.resume"
    EXPORT_SUSPEND = "export.suspend"
    """Not a person's: the mapper says that an export has rested for long."""


class TaskStatus(StrEnum):
    PROCESSING = "processing"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True)
class Task:
    """One command under way or done. `task_id` is "<receiver>[/<export>]/<type>/<created>_<random>".

    `result` of one under way is what it waits for, in words.

    `error_name` and `error_status` keep the API's error for a call that waits for the task; `error` is its text.
    `progress` (control's own JSON, only while processing) says what the task may have made, for the process that
    resumes it.
    """

    project_id: str
    task_id: str
    type: TaskType
    status: TaskStatus
    created_ms: int
    receiver_id: str
    export_id: str | None = None
    finished_ms: int | None = None
    result: str | None = None
    error: str | None = None
    error_name: str | None = None
    error_status: int | None = None
    progress: str | None = None


@dataclass(frozen=True)
class Command:
    """What the API asks of control. `payload` is the validated request as JSON; `token` the caller's token,
    encrypted.
    """

    task: Task
    payload: str
    token: bytes


@dataclass(frozen=True)
class Forgotten:
    """All commands of a partition before `offset` are done, and are done for ever: their tasks may be forgotten.

    `topic_id` is Kafka's, of the commands topic.
    """

    topic_id: str
    partition: int
    offset: int


def new_task(project_id: str, kind: TaskType, receiver_id: str, export_id: str | None = None) -> Task:
    """A task that begins now, with an id of its own."""
    created_ms = time.time_ns() // 1_000_000
    entity = receiver_id if export_id is None else f"{receiver_id}/{export_id}"
    random = "".join(secrets.choice(_RANDOM) for _ in range(5))
    task_id = f"{entity}/{kind}/{iso_time(created_ms)}_{random}"
    return Task(project_id, task_id, kind, TaskStatus.PROCESSING, created_ms, receiver_id, export_id)


def iso_time(milliseconds: int) -> str:
    """1700000000123 is "2023-11-14T22:13:20.123Z"."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='seconds')}.{milliseconds % 1000:03d}Z"
