"""A plain thread that ends the process when it can no longer do its work but would not end by itself.

A thread, because the event loop may be what is stuck. How a process is ended: `app.observe.pulse`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.observe.pulse import LOOK_SECONDS, Patience, Pulse, end_process

if TYPE_CHECKING:
    from app.kafka.faust.app import ChunkApp

_PARKED_SECONDS = 5.0
_STOP_SECONDS = 8.0


class Watchdog:
    """Watches one app on the running loop. `alive` is the process's liveness."""

    def __init__(
        self,
        app: ChunkApp,
        limit_seconds: float,
        stuck_seconds: float,
        end: Callable[[str], None] = end_process,
        *,
        stop_seconds: float = _STOP_SECONDS,
    ) -> None:
        self._app, self._end = app, end
        self.still_seconds: Callable[[], float] = lambda: 0.0
        """For how long a partition has not moved that should have; asked from this thread."""
        self.kafka_answers: Callable[[], bool] = lambda: True
        """Whether Kafka answered when it was asked last; asked from this thread."""
        self._stuck_seconds = stuck_seconds
        self.patience = {
            "a fatal error of the group is parked": Patience(_PARKED_SECONDS),
            "the group's coordination has ended": Patience(_PARKED_SECONDS),
            "the stop does not come to an end": Patience(stop_seconds),
            "a rebalance does not come to an end": Patience(limit_seconds),
            "the event loop is stuck": Patience(limit_seconds),
        }
        self._stopping = False
        self._pulse = Pulse()
        self._closing = threading.Event()

    def start(self) -> None:
        self._pulse.start()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop_begins(self) -> None:
        """From now on the stop is timed."""
        self._stopping = True

    def close(self) -> None:
        self._pulse.close()
        self._closing.set()

    def alive(self) -> bool:
        """Whether nothing is wrong for longer than half of what it may be."""
        well = all(2 * wrong.used_seconds <= wrong.limit_seconds for wrong in self.patience.values())
        return well and self.still_seconds() <= self._stuck_seconds / 2

    def beat(self, now: float) -> None:
        """The event loop turns."""
        self._pulse.beat(now)

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            self.judge(time.monotonic())

    def judge(self, now: float) -> None:
        """End the process if something has been wrong for too long. Called every half second."""
        for what, wrong in self._look(now).items():
            if self.patience[what].is_over(wrong, now):
                self._end(what)
        if self.still_seconds() > self._stuck_seconds and not self._stopping:
            self._end(f"a partition has not moved for {self._stuck_seconds:g} s although records wait")

    def _look(self, now: float) -> dict[str, bool]:
        kafka: Any = getattr(getattr(self._app._consumer, "_thread", None), "_consumer", None)
        coordinator = getattr(kafka, "_coordinator", None)
        task = getattr(coordinator, "_coordination_task", None)
        return {
            # aiokafka parks it for a call that Faust never makes: the member would stay alive without partitions
            "a fatal error of the group is parked": getattr(coordinator, "_pending_exception", None) is not None,
            "the group's coordination has ended": task is not None and task.done() and not self._stopping,
            # aiokafka's thread dies when it is stopped while the broker is away, and Faust waits for it
            "the stop does not come to an end": self._stopping,
            "a rebalance does not come to an end": self._app.rebalancing
            and not self._stopping
            and self._can_join(kafka),
            "the event loop is stuck": self._pulse.stands_still(now),
        }

    def _can_join(self, kafka: Any) -> bool:
        """Whether Kafka does its part in a rebalance: a restart would only wait for it as well. aiokafka drops a
        coordinator that does not answer, and asks until there is one.
        """
        coordinator = getattr(kafka, "_coordinator", None)
        return self.kafka_answers() and (coordinator is None or coordinator.coordinator_id is not None)
