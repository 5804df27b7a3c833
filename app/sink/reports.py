"""What the sink tells control: that revisions of an export are over, so that their tokens can be deleted.

A report may be lost or come twice: it is repeated for as long as the control log still has the revision, and control
skips what it has done.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from app.api.drafts import Retirement, dump_draft
from app.model.errors import KafkaUnavailable
from app.model.receiver import Export
from app.model.task import Task, TaskType, new_task

AGAIN_SECONDS = 30.0
"""How long control has for a report before it is sent again."""
_log = logging.getLogger(__name__)
Send = Callable[[Task, str], Awaitable[None]]


class EndReports:
    """One per process. `send` hands a task with its payload to control."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent: dict[tuple[str, tuple[int, ...]], float] = {}

    def due(self, export: Export, numbers: tuple[int, ...]) -> bool:
        """Whether these revisions have to be reported now; then `report` must follow."""
        key, now = (export.uid, numbers), time.monotonic()
        if now - self._sent.get(key, float("-inf")) < AGAIN_SECONDS:
            return False
        self._sent = {known: at for known, at in self._sent.items() if now - at < AGAIN_SECONDS} | {key: now}
        return True

    async def report(self, export: Export, numbers: tuple[int, ...]) -> None:
        """Send it; when Kafka does not take it, the next one will do."""
        task = new_task(export.project_id, TaskType.EXPORT_RETIRE, export.receiver_id, export.export_id)
        try:
            await self._send(task, dump_draft(Retirement(export.uid, numbers)))
        except KafkaUnavailable as trouble:
            _log.warning("control does not learn yet that %s/%s is over: %s", *task.task_id.split("/")[:2], trouble)
