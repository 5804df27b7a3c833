"""What a child is doing, in memory that its parent can read while the child is stuck: job, column, event.

A step counter tells "still at the same event" from "at it again". The other way round, the parent says which job has
taken long enough; so a child needs no clock, whose reading would cost more than the rest.
"""

from __future__ import annotations

import mmap
import time
from array import array
from dataclasses import dataclass

_FIELDS = 6
_STEP, _JOB, _COLUMN, _EVENT, _JOB_STARTED, _STOP = range(_FIELDS)
SIZE_BYTES = 8 * _FIELDS
NONE = -1


@dataclass(frozen=True, slots=True)
class Position:
    """Where a child is: `job` is None before it begins one, `column` and `event` while no template is being evaluated.

    `job_started` is the child's CPU time, in seconds, when the job began.
    """

    step: int
    job: int | None
    column: int | None
    event: int | None
    job_started: float


class Progress:
    """The shared memory behind a file descriptor of SIZE_BYTES; one writes, the other reads."""

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, SIZE_BYTES)
        self.fields = memoryview(self._memory).cast("q")

    def close(self) -> None:
        self.fields.release()
        self._memory.close()

    def read(self) -> Position:
        step, job, column, event, started, _ = self.fields.tolist()
        return Position(step, _known(job), _known(column), _known(event), started / 1e9)

    def clear(self) -> None:
        """Nothing has begun: for the parent, before it gives work."""
        self.fields[:] = memoryview(array("q", [0, NONE, NONE, NONE, 0, NONE]))

    def stop_job(self, job: int) -> None:
        """Tell the child to end this job after the event, and in the column, that it is at: for the parent."""
        self.fields[_STOP] = job

    def begin_job(self, job: int) -> None:
        fields = self.fields
        fields[_COLUMN] = fields[_EVENT] = NONE
        fields[_JOB] = job
        fields[_JOB_STARTED] = time.process_time_ns()
        fields[_STEP] += 1


def _known(field: int) -> int | None:
    return None if field == NONE else field


class JobWatch:
    """The Watch of the job under way in a child: reports to the parent, and stops when the parent says so."""

    def __init__(self, progress: Progress) -> None:
        self._fields = progress.fields
        self._job = progress.fields[_JOB]

    def begin(self, column: int) -> None:
        self._fields[_COLUMN] = column

    def at(self, index: int) -> None:
        fields = self._fields
        fields[_EVENT] = index
        fields[_STEP] += 1

    def end(self) -> None:
        fields = self._fields
        fields[_EVENT] = fields[_COLUMN] = NONE
        fields[_STEP] += 1

    def expired(self) -> bool:
        if self._fields[_STOP] != self._job:
            return False
        # The columns to come are still evaluated for the events before.
        self._fields[_STOP] = NONE
        return True
