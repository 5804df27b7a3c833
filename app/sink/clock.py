"""The broker's time, told by what the broker stamped and the local monotonic clock; no wall clock is asked.

A wall clock may be wrong by hours; windows age by this one (delivery protocol, rule 24).
"""

from __future__ import annotations

import time
from collections.abc import Callable


class BrokerClock:
    """Milliseconds of the broker. A stamp is never later than the broker's now, so the latest reading wins."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ahead_ms: int | None = None

    def saw(self, stamp_ms: int) -> None:
        """Take a time that the broker stamped on a record, just now or earlier."""
        ahead = stamp_ms - self._elapsed_ms()
        if self._ahead_ms is None or ahead > self._ahead_ms:
            self._ahead_ms = ahead

    def now_ms(self) -> int:
        """The broker's time now, late by at most the delay of the freshest stamp. Needs one stamp first."""
        if self._ahead_ms is None:
            raise RuntimeError("the clock has seen no stamp of the broker yet")
        return self._elapsed_ms() + self._ahead_ms

    def _elapsed_ms(self) -> int:
        return int(self._monotonic() * 1000)
