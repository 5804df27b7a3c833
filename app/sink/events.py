"""What the sink puts into Storage's log of events: a slice was uploaded or not, an import was done or not.

For people who look there; nothing depends on it. So it holds nobody up and is tried once: sent in a thread of its own,
dropped when too many wait, and a failure is a warning. Source: Buffer API, Storage events (names, messages, fields).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from app.keboola.errors import StorageError
from app.model.ledger import BatchRecord, Slice
from app.model.receiver import Export

COMPONENT = "keboola.keboola-buffer"
MAX_WAITING = 1000
_WARN_SECONDS = 60
_ERROR_CHARACTERS = 2000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StorageEvent:
    """One event of an export's batch. `error` is None when all went well."""

    task: str
    message: str
    statistics: Mapping[str, int]
    error: str | None = None

    def body(self, export: Export) -> dict[str, Any]:
        """As Storage takes it."""
        results: dict[str, Any] = {
            "projectId": export.project_id,
            "receiverId": export.receiver_id,
            "exportId": export.export_id,
        }
        if self.error is None:
            results["statistics"] = dict(self.statistics)
        else:
            results["error"] = self.error[:_ERROR_CHARACTERS]
        return {
            "component": COMPONENT,
            "message": self.message,
            "type": "info" if self.error is None else "error",
            "params": {"task": self.task},
            "results": results,
        }


def slice_uploaded(part: Slice) -> StorageEvent:
    return StorageEvent("slice-upload", "Slice upload done.", _statistics((part,)))


def slice_failed(error: str) -> StorageEvent:
    return StorageEvent("slice-upload", "Slice upload failed.", {}, error)


def import_done(record: BatchRecord) -> StorageEvent:
    return StorageEvent("file-import", "File import done.", _statistics(record.slices))


def import_failed(error: str) -> StorageEvent:
    return StorageEvent("file-import", "File import failed.", {}, error)


class StorageEvents:
    """`tell` from any thread. `send(export, revision, run_id, body)` makes the call, and may take its time."""

    def __init__(self, send: Callable[[Export, int, str, dict[str, Any]], None], *, enabled: bool) -> None:
        self._send, self._enabled = send, enabled
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storage-events")
        self._lock = threading.Lock()
        self._waiting = 0
        self._warned_at = float("-inf")

    def tell(self, export: Export, revision: int, run_id: str, event: StorageEvent) -> None:
        if not self._enabled:
            return
        with self._lock:
            full = self._waiting >= MAX_WAITING
            self._waiting += not full
        if full:
            self._warn(f"{MAX_WAITING} events wait for Storage already")
        else:
            self._thread.submit(self._work, export, revision, run_id, event)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _work(self, export: Export, revision: int, run_id: str, event: StorageEvent) -> None:
        try:
            self._send(export, revision, run_id, event.body(export))
        except StorageError as error:
            self._warn(str(error))
        finally:
            with self._lock:
                self._waiting -= 1

    def _warn(self, why: str) -> None:
        """At most once a minute: nobody misses an event as much as a readable log."""
        now = time.monotonic()
        if now - self._warned_at >= _WARN_SECONDS:
            self._warned_at = now
            _log.warning("an event was not put into Storage's log: %s", why)


def _statistics(parts: tuple[Slice, ...]) -> dict[str, int]:
    size_bytes = sum(part.csv_bytes for part in parts)
    return {
        "recordsCount": sum(part.rows for part in parts),
        "recordsSize": size_bytes,
        "fileSize": size_bytes,
        "fileGZipSize": sum(part.stored_bytes for part in parts),
    }
