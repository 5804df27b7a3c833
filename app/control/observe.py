"""Metrics of control."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from app.model.task import Task

_tasks = Counter("streams_control_tasks", "Tasks that have ended.", ["type", "status"])
_seconds = Histogram(
    "streams_control_task_seconds",
    "From a task's creation to its end.",
    ["type"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
)


def count(task: Task) -> None:
    """Count a task that has ended."""
    _tasks.labels(task.type.value, task.status.value).inc()
    _seconds.labels(task.type.value).observe(((task.finished_ms or task.created_ms) - task.created_ms) / 1000)
