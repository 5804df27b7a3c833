"""What the run of one command works with: its task, the log, the clock, and how it ends.

A run may be a second one, after the process of the first died: it goes on from the progress in the task's record. A run
ends with the task's terminal record, or raises Interrupted (run it again) or Closed (another process will).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from confluent_kafka.admin import AdminClient

from app.api.limits import Limits
from app.control.claims import unused_claims
from app.control.log import ControlLog
from app.control.records import Ended, control_records, failed, succeeded
from app.control.steps import Failure, Progress, dump_progress, load_progress
from app.kafka.codec import ControlValue
from app.keboola.calls import Timeouts
from app.keboola.client import StorageClient
from app.model.catalog import Catalog, task_key
from app.model.cipher import Cipher
from app.model.errors import StreamsError
from app.model.task import Command, Task
from app.settings import Settings

UNDO_SHARE = 1 / 3
"""Part of a task's time that is kept for undoing it."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What every task works with; made once per process."""

    settings: Settings
    cipher: Cipher
    admin: AdminClient
    rows_partitions: int

    def storage(self, encrypted: bytes) -> StorageClient:
        """A client with this token, which is encrypted. Raises ConfigurationError when no key of ours fits."""
        timeouts = Timeouts(self.settings.storage_connect_seconds, self.settings.storage_read_seconds)
        return StorageClient(self.settings.storage_api_host, self.cipher.decrypt(encrypted), timeouts=timeouts)


class Run:
    """One command, from the time it begins to run in this process."""

    def __init__(self, surroundings: Surroundings, log: ControlLog, command: Command) -> None:
        self.around, self.log, self.command = surroundings, log, command
        self.begin_to_make()

    def begin_to_make(self) -> None:
        """From now on the task's time counts; `make_until` and `undo_until` are on the monotonic clock."""
        seconds = self.around.settings.task_timeout_seconds
        began = time.monotonic()
        self.make_until, self.undo_until = began + seconds * (1 - UNDO_SHARE), began + seconds

    @property
    def catalog(self) -> Catalog:
        return self.log.catalog

    @property
    def limits(self) -> Limits:
        return Limits.of(self.around.settings)

    @property
    def task(self) -> Task:
        """The task as the log has it."""
        return self.catalog.tasks[task_key(self.command.task)]

    @property
    def progress(self) -> Progress | None:
        text = self.task.progress
        return None if text is None else load_progress(text)

    @property
    def topic(self) -> str:
        """The name of the receiver's topic, if we make it."""
        return self.log.names.events(self.task.project_id, self.task.receiver_id)

    async def save(self, progress: Progress) -> None:
        """Write the progress into the task's record."""
        await self.log.transact(lambda: control_records(self.log.names, [self.with_progress(progress)]))

    def with_progress(self, progress: Progress) -> Task:
        return replace(self.task, progress=dump_progress(progress))

    async def succeed(
        self,
        result: str,
        entities: Callable[[], Sequence[ControlValue]] = lambda: (),
        ended: Callable[[], Sequence[Ended]] = lambda: (),
    ) -> None:
        """Write entities, what has ended, and the task in one transaction, decided when the log is ours alone."""
        await self.log.transact(
            lambda: control_records(
                self.log.names, [*entities(), succeeded(self.task, result, now_ms())], ended=ended()
            )
        )

    async def fail(self, failure: Failure) -> None:
        """Write the task, and let go of topics that a receiver was to read which is not made."""
        await self.log.transact(
            lambda: control_records(
                self.log.names,
                [failed(self.task, failure, now_ms())],
                ended=unused_claims(self.catalog, self.task),
            )
        )

    def failure(self, error: Exception) -> Failure:
        """What the task's user reads. A defect of ours harms this task only; its trace is in the log."""
        if isinstance(error, StreamsError):
            return Failure(error.message, error.status, error.name)
        _log.exception("task %s met a defect", self.command.task.task_id, exc_info=error)
        return Failure("Application error; the log of control says more under the id of this task.", 500)


def now_ms() -> int:
    return time.time_ns() // 1_000_000
