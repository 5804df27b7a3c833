"""Warning of suspended exports whose events have waited for so long that Kafka will delete them soon.

Nothing else would tell: what retention deletes is in no dead letter. By the time of the suspension, since nothing that
waits is older than that (delivery protocol, rule 22).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from app.control.log import ControlLog
from app.model.catalog import Catalog
from app.model.receiver import Export

EVERY_SECONDS = 600.0
LATE_SHARE = 0.5
"""The part of the retention after which it is warned of."""
_HOUR_MS = 3_600_000
_log = logging.getLogger(__name__)


def suspended(catalog: Catalog, ours: Callable[[str], bool]) -> list[Export]:
    """Suspended exports of our projects."""
    return [e for e in catalog.exports.values() if e.suspension is not None and ours(e.project_id)]


def warning(export: Export, now_ms: int, retention_hours: float) -> str | None:
    """What is to be said of a suspended export; None as long as its events are safe."""
    suspension = export.suspension
    waited_hours = 0.0 if suspension is None else (now_ms - suspension.since_ms) / _HOUR_MS
    if waited_hours < LATE_SHARE * retention_hours:
        return None
    name = f"suspended export {export.receiver_id}/{export.export_id} of project {export.project_id}"
    if waited_hours < retention_hours:
        left = retention_hours - waited_hours
        return f"{name} waits for {waited_hours:.0f} h: in {left:.0f} h Kafka begins to delete what waits"
    return f"{name} waits for {waited_hours:.0f} h, and Kafka keeps events for {retention_hours:.0f} h: some are lost"


class Waiting:
    """For the projects of one commands partition. Run `run` as a task."""

    def __init__(self, log: ControlLog, ours: Callable[[str], bool], retention_hours: float) -> None:
        self._log, self._ours, self._hours = log, ours, retention_hours

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            now_ms = time.time_ns() // 1_000_000
            for export in suspended(self._log.catalog, self._ours):
                text = warning(export, now_ms, self._hours)
                if text is not None:
                    _log.warning("%s; resume it", text)
            await asyncio.sleep(EVERY_SECONDS)
