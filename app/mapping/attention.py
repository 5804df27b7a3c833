"""Watching a child while it works: waits for its answers and ends it when it is stuck at one event. Source: rule 5.

Time is the child's own CPU time, so that a busy machine makes no dead letters. A child that gets no CPU at all
(stopped, swapped out) is ended too, but that is blamed on an event only when it happens again with that event alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from app.mapping.child_process import ChildProcess
from app.mapping.chunk import Loss
from app.mapping.faults import DECODING, FILTER, OUT_OF_MEMORY, TOO_DEAR, of_filter, stuck
from app.model.event import Reason
from app.model.receiver import Mapping
from app.observe.pulse import LOOK_SECONDS, Looks

_LOOK_SECONDS = 0.05
_SLOW_SHARE = 0.2
"""The part of an event's time after which it is called slow."""
_FROZEN_SECONDS = 10.0
_FROZEN_SHARE = 0.01
"""A child that has less than this share of a processor for so long is frozen."""


class Attention:
    """One request under way in a child; `event_seconds` is the computing that one event may take.

    `on_slow` is called once, when the child has been at one event for a good part of that. If it says no, the child is
    ended, to give its jobs again later: nobody is to blame yet.
    """

    def __init__(self, child: ChildProcess, event_seconds: float, on_slow: Callable[[], bool]) -> None:
        self._child = child
        self._event_seconds = event_seconds
        self._on_slow: Callable[[], bool] | None = on_slow
        self._step = -1
        self._looks = Looks(LOOK_SECONDS)
        self._waited = 0.0
        """At the step, as far as we were awake ourselves."""
        self._computed = self._step_computed = child.cpu_seconds()
        self._stopped_at = 0.0
        self._stuck = self._frozen = self._abandoned = False
        self.looks: list[int] = []
        """The events that the child was seen at, of the job under way."""

    async def answer(self, job: int, seconds: float) -> Any:
        """The next answer, to the job with this number, which is stopped when it has computed for so long.

        Raises ChildGone when the child ended or was ended; answers given before that come first.
        """
        self.looks = []
        read = asyncio.ensure_future(self._child.receive())
        try:
            while True:
                done, _ = await asyncio.wait({read}, timeout=min(_LOOK_SECONDS, self._event_seconds / 4))
                if done:
                    return read.result()
                self._look(job, seconds)
        finally:
            read.cancel()

    def _look(self, job: int, seconds: float) -> None:
        position = self._child.position()
        self._waited += self._looks.elapsed(time.monotonic())
        self._computed = max(self._computed, self._child.cpu_seconds())
        if position.job == job:
            if position.event is not None:
                self.looks.append(position.event)
            # A column that is stopped is followed by others, which may take as long again.
            if self._computed - max(position.job_started, self._stopped_at) > seconds:
                self._child.stop_job(job)
                self._stopped_at = self._computed
        waited, computed = self._waited, self._computed - self._step_computed
        if position.step != self._step:
            self._step, self._waited, self._step_computed = position.step, 0.0, self._computed
            return
        if computed > self._event_seconds * _SLOW_SHARE and self._on_slow is not None:
            self._abandoned = not self._on_slow()
            self._on_slow = None
            if self._abandoned:
                self._child.kill()
                return
        if computed > self._event_seconds:
            self._stuck = True
            self._child.kill()
        elif waited > _FROZEN_SECONDS and computed < waited * _FROZEN_SHARE:
            self._frozen = True
            self._child.kill()

    def loss(self, job: int, mapping: Mapping) -> tuple[Loss, float]:
        """How the child was lost on the job with this number in the request, and the CPU seconds that it took.

        To be asked after ChildGone: what the child was at can still be read.
        """
        position = self._child.position()
        if position.job != job or self._abandoned:
            return Loss(Reason.TEMPLATE_MEMORY, OUT_OF_MEMORY, begun=False), 0.0
        in_filter = position.column == FILTER
        no_column = position.column in (None, FILTER, DECODING)
        column = None if no_column else mapping.columns[position.column or 0].name
        seconds = max(self._computed - position.job_started, 0.0)
        ended = self._stuck or self._frozen
        reason = Reason.TEMPLATE_TIMEOUT if ended else Reason.TEMPLATE_MEMORY
        message = stuck(self._event_seconds) if ended else OUT_OF_MEMORY
        sure = self._stuck and position.event is not None
        if position.column == DECODING:
            return Loss(Reason.BODY_UNDECODABLE, TOO_DEAR, None, position.event, sure), seconds
        return Loss(reason, of_filter(message) if in_filter else message, column, position.event, sure), seconds
