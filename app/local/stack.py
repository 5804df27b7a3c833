"""The supervisor of the local stack: starts the parts in order, starts again what dies, stops all in reverse.

Whatever goes wrong while it starts ends in one line that names the part. It runs in one thread, the main one, because
the children are tied to the thread that starts them. What a part is, is left to `app.local.parts`; what people see, to
`app.local.display`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from app.local.child import Child
from app.local.parts import Part
from app.local.ports import require_free
from app.local.state import (
    PartState,
    StackLock,
    StackState,
    forget_state,
    process_began,
    read_state,
    stop_leftovers,
    write_state,
)
from app.model.errors import ConfigurationError

START_SECONDS = 120
_TURN_SECONDS = 0.1
_STEADY_SECONDS = 60
_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 30
_HOPELESS = (1, ConfigurationError.exit_code)  # a part that ends so while it starts would end so again


class Told(BaseException):
    """The user or the system asked us to stop."""


class Observer(Protocol):
    """Who is told what happens, to show it to people."""

    def starting(self, part: str) -> None: ...
    def ready(self, part: str, address: str) -> None: ...
    def notice(self, text: str) -> None: ...


@dataclass
class Watch:
    """One part and the times that its supervision needs (monotonic seconds)."""

    part: Part
    began: float = 0
    due: float | None = None
    identity: str = ""
    restarts: int = 0
    failures: int = 0


def backoff_seconds(failures: int) -> float:
    """How long to wait before the start after this many failures in a row: at once at first, then twice as long."""
    return float(min(_FIRST_BACKOFF_SECONDS * 2 ** (failures - 1), _LONGEST_BACKOFF_SECONDS))


class Stack:
    """The parts of one stack, in the steps in which they start.

    `address` is where people reach it; `between` is called once when the first step is ready (topics are made then).
    Use `run` from the main thread.
    """

    def __init__(
        self,
        steps: Sequence[Sequence[Part]],
        observer: Observer,
        *,
        address: str,
        between: Callable[[], None] = lambda: None,
        home: Path,
        stop_seconds: float = 15,
    ) -> None:
        self._steps = [[Watch(part) for part in step] for step in steps]
        self._observer = observer
        self._address = address
        self._between = between
        self._home = home
        self._stop_seconds = stop_seconds
        self._told = 0

    def run(self, on_ready: Callable[[], Child | None]) -> None:
        """Start everything, call `on_ready`, watch until told to stop (SIGINT, SIGTERM, SIGHUP), stop everything.

        `on_ready` may give a child that runs beside the stack (the demo) and is stopped before it.
        Raises ConfigurationError when a part cannot start; everything is stopped then, too.
        """
        before = {
            number: signal.signal(number, self._tell) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        beside = None
        try:
            with StackLock(self._home):
                try:
                    self._start()
                    beside = on_ready()
                    self._supervise()
                except Told:
                    self._observer.notice("Stopping…")
                finally:
                    if beside is not None:
                        beside.stop(self._stop_seconds)
                    self._stop()
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def _start(self) -> None:
        left = read_state(self._home)
        if left is not None:
            stop_leftovers(left, self._home)
        for watch in self._all():
            for port in watch.part.ports:
                require_free(watch.part.name, port.number, port.setting)
        for number, step in enumerate(self._steps):
            if number == 1:
                self._between()
            for watch in step:
                self._observer.starting(watch.part.name)
                self._spawn(watch)
            self._await(step)

    def _await(self, step: Sequence[Watch]) -> None:
        deadline = time.monotonic() + START_SECONDS
        waiting = list(step)
        while waiting:
            for watch in list(waiting):
                if watch.part.is_ready():
                    self._observer.ready(watch.part.name, watch.part.address)
                    waiting.remove(watch)
                elif watch.part.poll() in _HOPELESS:
                    raise ConfigurationError(watch.part.why_it_ended())
            if time.monotonic() > deadline:
                late = waiting[0].part
                raise ConfigurationError(f"{late.name} was not ready within {START_SECONDS} s (log: {late.log_file}).")
            self._turn()

    def _supervise(self) -> None:
        while True:
            self._turn()

    def _turn(self) -> None:
        """One look at every part that was started; then a short pause."""
        if self._told:
            raise Told
        now = time.monotonic()
        for watch in self._all():
            if watch.began and watch.part.poll() is not None:
                self._revive(watch, now)
            if watch.began:
                watch.part.rotate_log()
        time.sleep(_TURN_SECONDS)

    def _revive(self, watch: Watch, now: float) -> None:
        if watch.due is None:
            watch.failures = 1 if now - watch.began > _STEADY_SECONDS else watch.failures + 1
            pause = backoff_seconds(watch.failures)
            watch.due = now + pause
            self._observer.notice(
                f"{watch.part.name} ended ({_ending(watch.part.poll())}); it starts again in {pause:g} s"
                f" (log: {watch.part.log_file})"
            )
        elif now >= watch.due:
            watch.restarts += 1
            try:
                self._spawn(watch)
            except ConfigurationError as error:
                self._observer.notice(error.message)
                watch.began, watch.due = now, None

    def _spawn(self, watch: Watch) -> None:
        watch.part.spawn()
        watch.began, watch.due = time.monotonic(), None
        watch.identity = process_began(watch.part.pid) if watch.part.pid else ""
        self._write_state()

    def _stop(self) -> None:
        """Step by step in reverse; the parts of a step together. A second signal kills what is left."""
        told_before = self._told
        for step in reversed(self._steps):
            for watch in step:
                watch.part.terminate()
            deadline = time.monotonic() + self._stop_seconds
            for watch in step:
                while watch.part.poll() is None and time.monotonic() < deadline and self._told == told_before:
                    time.sleep(_TURN_SECONDS / 2)
                if watch.part.poll() is None:
                    self._observer.notice(f"{watch.part.name} did not stop in time and was killed")
                    watch.part.kill()
        forget_state(self._home)

    def _all(self) -> list[Watch]:
        return [watch for step in self._steps for watch in step]

    def _tell(self, number: int, frame: FrameType | None) -> None:
        self._told += 1

    def _write_state(self) -> None:
        parts = [
            PartState(
                name=watch.part.name,
                pid=watch.part.pid,
                began=watch.identity,
                address=watch.part.address,
                ready_url=watch.part.ready_url,
                log_file=str(watch.part.log_file),
                restarts=watch.restarts,
            )
            for watch in self._all()
        ]
        write_state(StackState(os.getpid(), self._address, parts), self._home)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
