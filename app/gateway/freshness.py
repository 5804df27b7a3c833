"""How far the view of the control log may be trusted, and the read barrier before a 404.

A gateway whose view is old could accept events for a receiver that was deleted meanwhile, so it must stop accepting
after a known time (delivery protocol, rule 20).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from app.kafka.view import ControlView
from app.model.errors import KafkaUnavailable
from app.settings import Settings

_CHECKS_PER_STALENESS = 5
_log = logging.getLogger(__name__)


class Freshness:
    """Keeps the view fresh. `start`, then `follow` in a task of its own."""

    def __init__(self, settings: Settings, view: ControlView) -> None:
        self._view = view
        self._staleness_seconds = settings.view_staleness_seconds

    @property
    def until(self) -> float:
        """Monotonic time until which the view may be trusted; long past when it never met the log's end."""
        return self._view.met_end_at + self._staleness_seconds

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._view.met_end_at

    async def start(self) -> None:
        """Start the view; waits for Kafka and for the control log as long as it takes."""
        while True:
            try:
                return await self._view.start()
            except KafkaUnavailable as error:
                _log.warning("not ready: %s", error.message)

    async def follow(self) -> None:
        """Meet the log's end again and again."""
        interval = self._staleness_seconds / _CHECKS_PER_STALENESS
        while True:
            await asyncio.sleep(interval)
            try:
                await self._view.caught_up(self._staleness_seconds)
            except KafkaUnavailable as error:
                _log.warning("the view of the control log is %.0f s old: %s", self.age_seconds, error.message)


class Lookups:
    """Requests for receivers that the view does not have wait here for a read barrier that began after them.

    Barriers are shared, and at most one starts in `unknown_receiver_barrier_seconds`, so guessing costs Kafka nothing.
    """

    def __init__(self, settings: Settings, view: ControlView) -> None:
        self._view = view
        self._pause_seconds = settings.unknown_receiver_barrier_seconds
        self._timeout_seconds = settings.acknowledge_seconds
        self._waiting: list[Callable[[bool], None]] = []
        self._wanted = asyncio.Event()

    def ask(self, callback: Callable[[bool], None]) -> None:
        """Call back after the next barrier: True when the view had the log's end, False when Kafka did not answer."""
        self._waiting.append(callback)
        self._wanted.set()

    async def serve(self) -> None:
        """Run the barriers; in a task of its own."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiting, self._waiting = self._waiting, []
            try:
                await self._view.caught_up(self._timeout_seconds)
                met = True
            except KafkaUnavailable:
                met = False
            for callback in waiting:
                callback(met)
            await asyncio.sleep(self._pause_seconds)
