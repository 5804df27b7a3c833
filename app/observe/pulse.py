"""The event loop's pulse, and how a process ends that no longer has one.

A process is ended hard (exit code 70): nothing is lost by that, because offsets are committed, and requests answered,
after the work is durable, and the supervisor starts the process again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_CODE = 70
LOOK_SECONDS = 0.5
_MOST_LOOKS = 4
STANDS_STILL_SECONDS = _MOST_LOOKS * LOOK_SECONDS
"""A loop that has not turned for so long is stuck; how long it may be is a setting."""
_log = logging.getLogger(__name__)


def end_process(why: str) -> None:
    """End this process at once, with the reason as its last line."""
    _log.critical("watchdog: %s; ending the process", why)
    logging.shutdown()
    os._exit(EXIT_CODE)


class Pulse:
    """Beats while the loop turns, from `start` to `close`."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._closed = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._again()

    def close(self) -> None:
        self._closed = True

    def beat(self, now: float) -> None:
        """The event loop turns."""
        self._beat = now

    def stands_still(self, now: float) -> bool:
        return now - self._beat > STANDS_STILL_SECONDS

    def _again(self) -> None:
        self.beat(time.monotonic())
        if not self._closed:
            self._loop.call_later(LOOK_SECONDS, self._again)


class Looks:
    """The time between looks that are made every so many seconds, as far as the process was awake.

    Who was frozen (SIGSTOP, a machine that was suspended) sees a long pause between two looks, in which nobody could do
    anything: of it a few looks' time counts.
    """

    def __init__(self, every_seconds: float) -> None:
        self._most_seconds = _MOST_LOOKS * every_seconds
        self._looked_at: float | None = None
        self.was_frozen = False
        """Whether there was such a pause before the last look."""

    def elapsed(self, now: float) -> float:
        """Seconds since the look before this one; 0 at the first."""
        before, self._looked_at = self._looked_at, now
        self.was_frozen = before is not None and now - before > self._most_seconds
        return 0.0 if before is None else min(now - before, self._most_seconds)


class Patience:
    """Whether something was wrong at every look for longer than the limit, the time apart that nobody was awake."""

    def __init__(self, limit_seconds: float, every_seconds: float = LOOK_SECONDS) -> None:
        self.limit_seconds = limit_seconds
        self.used_seconds = 0.0
        """For how long it has been wrong."""
        self._looks = Looks(every_seconds)
        self._wrong = False

    def is_over(self, wrong: bool, now: float) -> bool:
        elapsed = self._looks.elapsed(now)
        self.used_seconds = self.used_seconds + elapsed if wrong and self._wrong else 0.0
        self._wrong = wrong
        return self.used_seconds > self.limit_seconds


@contextmanager
def watched_loop(limit_seconds: float, end: Callable[[str], None] = end_process) -> Iterator[None]:
    """End the process when the running loop stands still for longer than the limit while this is open.

    What is looked at is a row of looks, not the clock alone, so a process that was frozen is not ended for it.
    """
    pulse, patience, closing = Pulse(), Patience(limit_seconds), threading.Event()

    def watch() -> None:
        while not closing.wait(LOOK_SECONDS):
            now = time.monotonic()
            if patience.is_over(pulse.stands_still(now), now):
                end("the event loop is stuck")

    pulse.start()
    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        pulse.close()
        closing.set()
        thread.join()
