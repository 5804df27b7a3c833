"""What the mapper tells control: that an export has rested for so long that its events had better wait.

A command may be lost or come twice: it is repeated while the export goes on resting, and control skips what it has
done. Source: delivery protocol, rule 22; docs/decisions/011.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from app.api.drafts import Suspending, dump_draft
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.model.receiver import Export
from app.model.task import Task, TaskType, new_task

PAUSE_SECONDS = 30.0
"""How long control has for a command before it is sent again."""
_MOST_REASON_CHARACTERS = 500
_log = logging.getLogger(__name__)
Send = Callable[[Task, str], Awaitable[None]]


class Rests(Protocol):
    """What knows who rests: `app.mapping.children.MappingPool`. Keys are "<uid>/<revision>"."""

    def rested_seconds(self, key: str) -> float:
        """For how long the export has rested without one try that succeeded; 0.0 when it does not."""

    def why(self, key: str) -> str:
        """What it failed with last."""


class RestReports:
    """One per process. `send` hands a task with its payload to control; exports are suspended `after_seconds`."""

    def __init__(self, catalog: Catalog, rests: Rests, send: Send, after_seconds: float) -> None:
        self._catalog, self._rests, self._send, self._after = catalog, rests, send, after_seconds
        self._sent: dict[str, float] = {}

    def due(self, export_uid: str) -> Export | None:
        """The export, if it is to be suspended now; then `report` must follow."""
        export, now = self._catalog.exports_by_uid.get(export_uid), time.monotonic()
        if export is None or export.uid in self._catalog.draining or export.suspension is not None:
            return None
        if not export.revision.mapping.incremental or now - self._sent.get(export_uid, -PAUSE_SECONDS) < PAUSE_SECONDS:
            return None
        if self._rests.rested_seconds(_key(export)) < self._after:
            return None
        self._sent = {uid: at for uid, at in self._sent.items() if now - at < PAUSE_SECONDS}
        self._sent[export_uid] = now
        return export

    async def report(self, export: Export) -> None:
        """Send it; when that cannot be, the next one will do."""
        try:
            why = self._rests.why(_key(export))
            reason = f"It rested for {self._after:g} s because its mapping takes too much time in vain."
            reason = f"{reason} What it failed with last: {why}"[:_MOST_REASON_CHARACTERS] if why else reason
            task = new_task(export.project_id, TaskType.EXPORT_SUSPEND, export.receiver_id, export.export_id)
            await self._send(task, dump_draft(Suspending(export.uid, export.revision.number, reason)))
        except KafkaUnavailable as trouble:
            _log.warning("%s/%s is not suspended yet: %s", export.receiver_id, export.export_id, trouble)
        except Exception:  # mapping must go on, whatever this one export does
            _log.exception("%s/%s is not suspended yet", export.receiver_id, export.export_id)


def _key(export: Export) -> str:
    return f"{export.uid}/{export.revision.number}"
