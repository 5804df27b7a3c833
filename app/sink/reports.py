"""What the sink tells control: that revisions of an export are over, so that their tokens can be deleted.

A report may be lost or come twice: it is repeated for as long as the control log still has the revision, ever more
seldom, and control skips what it has done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from app.api.drafts import LaneResult, Retirement, dump_draft
from app.model.errors import KafkaUnavailable
from app.model.receiver import Export
from app.model.task import Task, TaskType, new_task

FIRST_PAUSE_SECONDS = 30.0
"""How long control has for a report before it is sent again; twice as long each time."""
LAST_PAUSE_SECONDS = 3600.0
"""Reports wait in the commands topic while control is away, and each that fails is a task: there must be few."""
_log = logging.getLogger(__name__)
Send = Callable[[Task, str], Awaitable[None]]


class EndReports:
    """One per process. `send` hands a task with its payload to control."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent: dict[tuple[str, tuple[int, ...]], tuple[float, float]] = {}
        """When each was sent last, on the monotonic clock, and the pause until it is due again."""

    def due(self, export: Export, numbers: tuple[int, ...]) -> bool:
        """Whether these revisions have to be reported now; then `report` must follow."""
        key, now = (export.uid, numbers), time.monotonic()
        at, pause = self._sent.get(key, (float("-inf"), FIRST_PAUSE_SECONDS / 2))
        if now - at < pause:
            return False
        self._sent = {known: sent for known, sent in self._sent.items() if now - sent[0] < 2 * LAST_PAUSE_SECONDS}
        self._sent[key] = now, min(2 * pause, LAST_PAUSE_SECONDS)
        return True

    async def report(self, export: Export, numbers: tuple[int, ...], results: tuple[LaneResult, ...] = ()) -> None:
        """Send it; when Kafka does not take it, the next one will do."""
        task = new_task(export.project_id, TaskType.EXPORT_RETIRE, export.receiver_id, export.export_id)
        try:
            await self._send(task, dump_draft(Retirement(export.uid, numbers, results)))
        except KafkaUnavailable as trouble:
            _log.warning("control does not learn yet that %s/%s is over: %s", *task.task_id.split("/")[:2], trouble)
