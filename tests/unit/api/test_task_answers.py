"""What a task's answer says while it waits for the operators, and that it says so no more when it has ended."""

from __future__ import annotations

import pytest

from app.api.answers import show_task
from app.model.task import Task, TaskStatus, TaskType


@pytest.mark.parametrize(
    ("status", "waits_for", "result"),
    [
        (TaskStatus.PROCESSING, "words", None),
        (TaskStatus.SUCCESS, None, "words"),
        (TaskStatus.ERROR, None, None),
    ],
)
def test_task_under_way_says_what_it_waits_for(status: TaskStatus, waits_for: str | None, result: str | None) -> None:
    task = Task("1", "t", TaskType.RECEIVER_CREATE, status, 0, "a", finished_ms=1, result="words")

    answer = show_task(task, "http://here")

    assert (answer.waits_for, answer.result) == (waits_for, result)
