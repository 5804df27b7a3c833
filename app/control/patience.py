"""How long a task waits for Storage: pauses that double, what Storage asks for at least, and an end."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from app.keboola.errors import StorageRefused, StorageTokenInvalid, StorageTrouble
from app.model.errors import StreamsError

FIRST_PAUSE_SECONDS = 0.5
LAST_PAUSE_SECONDS = 10.0
T = TypeVar("T")
_log = logging.getLogger(__name__)


class StepFailed(StreamsError):
    """A step that will not succeed, or not in time; the message is for the task's user."""

    status = 400
    name = "buffer.taskFailed"

    def __init__(self, message: str, status: int = 400, name: str = "buffer.taskFailed") -> None:
        super().__init__(message)
        self.status = status
        self.name = name


class Patience:
    """Until the deadline, on the monotonic clock."""

    def __init__(self, deadline: float) -> None:
        self._deadline, self._pause = deadline, FIRST_PAUSE_SECONDS

    def check(self, words: str) -> None:
        """Raises StepFailed when the time is over before the step that these words name has begun."""
        if time.monotonic() > self._deadline:
            raise StepFailed(f"The task ran out of time before it could {words}.", 504)

    async def wait(self, words: str, trouble: StorageTrouble) -> None:
        """Before the next try. Raises StepFailed when there is no time for one."""
        asked = trouble.retry_after_seconds
        wait = max(asked or 0, self._pause * random.uniform(0.8, 1.2))  # noqa: S311 - jitter, no secret
        if time.monotonic() + wait > self._deadline:
            later = f" It asks to wait {asked:g} s." if asked else ""
            raise StepFailed(f"Storage did not {words} in time. {trouble.reason}{later}", 504) from trouble
        _log.warning("could not %s, again in %.1f s: %s", words, wait, trouble.message)
        await asyncio.sleep(wait)
        self._pause = min(2 * self._pause, LAST_PAUSE_SECONDS)

    def succeeded(self) -> None:
        """The next trouble is a new one."""
        self._pause = FIRST_PAUSE_SECONDS


async def patiently(words: str, call: Callable[[], T], deadline: float) -> T:
    """The result of a call to Storage that may be repeated, made in a thread until it succeeds.

    `words` say what it does: "create the bucket ...". Raises StepFailed for what Storage refuses, or does not do in
    time.
    """
    patience = Patience(deadline)
    while True:
        patience.check(words)
        try:
            return await asyncio.to_thread(call)
        except StorageTrouble as trouble:
            await patience.wait(words, trouble)
        except StorageRefused as refusal:
            raise refused(words, refusal) from refusal


def refused(words: str, refusal: StorageRefused) -> StepFailed:
    """In words for the task's user."""
    if isinstance(refusal, StorageTokenInvalid):
        return StepFailed(
            f"Storage no longer accepts the token that the task was started with: {refusal.reason}", 401, refusal.name
        )
    return StepFailed(f"Storage refused to {words}: {refusal.reason}", 400, refusal.name)
