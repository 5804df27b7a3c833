"""Faults on demand: rules that make chosen requests go wrong, as a network or a tired Storage would.

A rule is matched by method and path (regular expression, searched in the path) and used up after `times` requests, or
`for_seconds` after it was added. Its `effect` says what happens:

==========================  ==================================================================================
`status`                    nothing is done, the answer is `status` (with `Retry-After` when `retry_after` is set)
`status_after`              the request is carried out, then the answer is `status`: 5xx after the effect
`reset`                     nothing is done, the connection is reset
`reset_after`               the request is carried out, the connection is reset before the answer
`delay`                     the request waits `seconds`, then is carried out and answered
`delay_after`               the request is carried out at once, its answer comes `seconds` later
`late`                      the answer is `status` at once, the request is carried out `seconds` later
`job_error`                 the job that the request makes ends in `error` with `code` and loads nothing
`job_error_after_load`      the job loads its rows and ends in `error` all the same
`job_delay`                 the job is `processing` for `seconds` before it does anything
==========================  ==================================================================================

Paths of the S3 server begin with the bucket (`/kbc-local-files/…`); there only `status`, `status_after` and `delay`
act.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.local.storage.records import JobFault

Effect = Literal[
    "status",
    "status_after",
    "reset",
    "reset_after",
    "delay",
    "delay_after",
    "late",
    "job_error",
    "job_error_after_load",
    "job_delay",
]


class FaultRule(BaseModel):
    """One rule; see the module's docstring. `times` None means any number; `method` None means any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: Effect
    method: str | None = None
    path: str = ""
    times: Annotated[int, Field(ge=1)] | None = 1
    for_seconds: Annotated[float, Field(gt=0, le=3600)] | None = None
    status: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: Annotated[int, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0, le=3600)] = 0
    code: str = "internalError"
    message: str = "Injected failure."

    @field_validator("path")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return value

    def job_fault(self) -> JobFault | None:
        """Give what the rule wants of the job that the request makes, None if it is about the request itself."""
        if self.effect == "job_delay":
            return JobFault(delay_seconds=self.seconds)
        if self.effect in ("job_error", "job_error_after_load"):
            return JobFault(
                error_code=self.code,
                error_message=self.message,
                after_load=self.effect == "job_error_after_load",
                delay_seconds=self.seconds,
            )
        return None


class Faults:
    """The rules in force. Thread-safe: the API and the S3 server ask it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._rules: list[tuple[FaultRule, int, float]] = []
        """With how often each was used, and when it was added."""

    def add(self, rules: list[FaultRule]) -> None:
        """Put rules behind those in force."""
        now = self._monotonic()
        with self._lock:
            self._rules += [(rule, 0, now) for rule in rules]

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._rules = []

    def listed(self) -> list[tuple[FaultRule, int]]:
        """Give all rules, the used up ones too, with how often each has been used."""
        with self._lock:
            return [(rule, used) for rule, used, _ in self._rules]

    def take(self, method: str, path: str) -> FaultRule | None:
        """Find the first rule for a request that is not used up, and use it once."""
        now = self._monotonic()
        with self._lock:
            for position, (rule, used, added) in enumerate(self._rules):
                if rule.times is not None and used >= rule.times:
                    continue
                if rule.for_seconds is not None and now - added >= rule.for_seconds:
                    continue
                if rule.method not in (None, method) or not re.search(rule.path, path):
                    continue
                self._rules[position] = (rule, used + 1, added)
                return rule
        return None
