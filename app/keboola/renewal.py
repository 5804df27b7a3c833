"""Upload credentials that end before their file does: Google's, which live for an hour and can be renewed for twelve.

Renewed ones are kept in memory alone; after a restart they are renewed again. `credentials_end` of an answer is by
Storage's clock, and ours may be wrong, so a caller whose credentials are refused (401) renews them whatever the clock
says; of renewed ones the age counts, which no clock can falsify. Source: delivery protocol, rule 18.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from app.keboola.answers import PreparedFile
from app.keboola.errors import StorageError, StorageUnavailable, StorageUnclear

Renew = Callable[[], PreparedFile]
"""Ask Storage for a file's new credentials (`StorageClient.refresh_file`)."""

MARGIN_SECONDS = 600
"""Credentials are renewed when they have less left: a large slice takes minutes over a slow line."""
MAX_RENEWED_FILES = 2048
"""How many files' renewed credentials are kept; of a file too many they are renewed once more."""


@dataclass
class _Renewed:
    lock: threading.Lock = field(default_factory=threading.Lock)
    file: PreparedFile | None = None
    ends: float = 0.0
    """By the monotonic clock."""


class Renewals:
    """The credentials that files have now. Thread-safe: of several threads one renews and the others wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[int, _Renewed] = OrderedDict()

    def current(self, prepared: PreparedFile, renew: Renew | None) -> PreparedFile:
        """Give the file with credentials to use now, renewed if they end soon.

        Raises StorageRefused or StorageUnavailable when they have ended and could not be renewed.
        """
        if prepared.credentials_seconds is None or renew is None:
            return prepared
        entry = self._entry(prepared.id)
        with entry.lock:
            left = _left(prepared, entry)
            if left < MARGIN_SECONDS:
                try:
                    _renew(prepared, entry, renew)
                except StorageError:
                    if left <= 0:
                        raise
            return entry.file or prepared

    def after_refusal(self, prepared: PreparedFile, refused: PreparedFile, renew: Renew) -> PreparedFile:
        """Give the file with other credentials than the refused ones."""
        entry = self._entry(prepared.id)
        with entry.lock:
            if entry.file is None or entry.file.params == refused.params:
                _renew(prepared, entry, renew)
            return entry.file or prepared

    def _entry(self, file_id: int) -> _Renewed:
        with self._lock:
            entry = self._files.setdefault(file_id, _Renewed())
            self._files.move_to_end(file_id)
            if len(self._files) > MAX_RENEWED_FILES:
                self._files.popitem(last=False)
            return entry


def _left(prepared: PreparedFile, entry: _Renewed) -> float:
    if entry.file is not None:
        return entry.ends - time.monotonic()
    return (prepared.credentials_end - datetime.now(UTC)).total_seconds()


def _renew(prepared: PreparedFile, entry: _Renewed, renew: Renew) -> None:
    asked = time.monotonic()
    try:
        renewed = renew()
    except StorageUnclear as error:  # to renew twice does no harm
        raise StorageUnavailable(error.reason, error.retry_after_seconds) from error
    entry.file = replace(prepared, params={**prepared.params, **renewed.params})
    entry.ends = asked + (renewed.credentials_seconds or 0)
