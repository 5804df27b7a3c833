"""Commands and the tasks that carry them out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TaskType(StrEnum):
    """What a command asks for; also the middle of a task's id. Source: Buffer API, tasks."""

    RECEIVER_CREATE = "receiver.create"
    RECEIVER_DELETE = "receiver.delete"
    RECEIVER_UPDATE = "receiver.update"
    EXPORT_CREATE = "export.create"
    EXPORT_UPDATE = "export.update"
    EXPORT_DELETE = "export.delete"
    TOKENS_REFRESH = "tokens.refresh"


class TaskStatus(StrEnum):
    PROCESSING = "processing"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True)
class Task:
    """One command under way or done. `task_id` is "<receiver>[/<export>]/<type>/<created>_<random>".

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
