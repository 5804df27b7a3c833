"""What is left to map of one chunk, and what follows when a child is lost on the way. Pure; source: rule 5.

A job is one export and a run of events. Finished jobs stay finished. The job on which a child was lost is split around
the event that it was at (or in halves, where that is not known) and put behind the others, until the guilty event is
alone; an event is blamed when it was the one under way twice, or at once when it was seen to compute for too long. A
lost child costs its export some of its budget; when that is used up, what is left of the export's chunk fails, and its
siblings go on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from app.mapping.faults import USED_UP, Fault
from app.mapping.segments import cut
from app.model.event import EventBatch, Reason, Segment

CHILD_LOST_SECONDS = 0.25
"""What a lost child counts against an export's budget, beside the CPU time it took."""


@dataclass(frozen=True, slots=True)
class Job:
    """Events from index `start` to before `stop`, for one export (an index); `strikes` counts children lost on it
    alone."""

    export: int
    start: int
    stop: int
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Loss:
    """How a child was lost. `event` is the index it was at, `sure` that this event is to blame.

    Not `begun`: it ended before it came to the job, which is therefore just given again.
    """

    reason: Reason
    message: str
    column: str | None = None
    event: int | None = None
    sure: bool = False
    begun: bool = True


class Chunk:
    """One batch on its way through the children, for several exports with `budget_seconds` each."""

    def __init__(self, batch: EventBatch, exports: int, budget_seconds: float) -> None:
        self.pending = deque(Job(export, 0, len(batch)) for export in range(exports) if len(batch))
        self._batch = batch
        self._budget = [budget_seconds] * exports
        self._done: list[dict[int, list[Segment]]] = [{} for _ in range(exports)]

    def seconds(self, export: int) -> float:
        """CPU seconds that the export may still take."""
        return self._budget[export]

    @property
    def segments(self) -> list[list[Segment]]:
        """For each export, segments that cover the batch, in order; complete when nothing is pending."""
        return [[segment for _, part in sorted(parts.items()) for segment in part] for parts in self._done]

    def finished(self, job: Job, segments: list[Segment], seconds: float) -> None:
        """A job is done, in this CPU time."""
        if job not in self.pending:
            return  # its export's budget was used up by a job before it
        self.pending.remove(job)
        self._done[job.export][job.start] = segments
        self._spend(job.export, seconds)

    def lost(self, job: Job, loss: Loss, seconds: float) -> None:
        """A child was lost on this job, after this CPU time."""
        if job not in self.pending:
            return
        if loss.begun:
            self.pending.remove(job)
            self._split(job, loss)
        self._spend(job.export, seconds + CHILD_LOST_SECONDS)

    def _split(self, job: Job, loss: Loss) -> None:
        alone = job.stop - job.start == 1
        if loss.sure and loss.event is not None:
            self._fail(Job(job.export, loss.event, loss.event + 1), loss)
            self._append(job, (job.start, loss.event, 0), (loss.event + 1, job.stop, 0))
        elif alone and job.strikes:
            self._fail(job, loss)
        elif alone:
            self._append(job, (job.start, job.stop, 1))
        elif loss.event is not None:
            event = loss.event
            self._append(job, (job.start, event, 0), (event, event + 1, 1), (event + 1, job.stop, 0))
        else:
            middle = (job.start + job.stop) // 2
            self._append(job, (job.start, middle, 0), (middle, job.stop, 0))

    def _append(self, job: Job, *parts: tuple[int, int, int]) -> None:
        self.pending.extend(Job(job.export, *part) for part in parts if part[0] < part[1])

    def _spend(self, export: int, seconds: float) -> None:
        self._budget[export] -= seconds
        if self._budget[export] > 0:
            return
        over = Loss(Reason.TEMPLATE_TIMEOUT, USED_UP)
        for job in [job for job in self.pending if job.export == export]:
            self.pending.remove(job)
            self._fail(job, over)

    def _fail(self, job: Job, loss: Loss) -> None:
        fault = Fault(loss.reason, loss.column, loss.message)
        faults = dict.fromkeys(range(job.start, job.stop), fault)
        self._done[job.export][job.start] = cut(self._batch, job.start, job.stop, b"", faults, self._raw_size)

    def _raw_size(self, index: int) -> int:
        headers = self._batch.headers[index]
        return len(self._batch.bodies[index]) + sum(len(name) + len(value) for name, value in headers)
