"""What is left to map of one chunk, and what follows when a child is lost on the way. Pure; source: rule 5.

A job is one export and a run of events. Finished jobs stay finished. The job on which a child was lost is split around
the event that it was at (or in halves, where that is not known) and put behind the others, until the guilty event is
alone; an event is blamed when it was the one under way twice, or at once when it was seen to compute for too long. A
lost child costs its export some of its budget; when that is used up, what is left of the export's chunk fails, and its
siblings go on. A job that takes long is done in slices: what was finished is kept, and the rest is put behind the
others.

Each step tells what it cost in vain, for the allowance of the export (`app.mapping.allowance`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.mapping.faults import USED_UP, Fault
from app.mapping.segments import before, cut
from app.model.event import EventBatch, Failure, Reason, Segment

CHILD_LOST_SECONDS = 0.25
"""What a lost child counts against an export's budget, beside the CPU time it took."""
BUDGET_EVENTS = 1000
"""A chunk of more events has its budget for each of so many: where many wait, a template that is only slow must not run
out of what was enough for it as they came."""
_UNMAPPED = (Reason.TEMPLATE_TIMEOUT, USED_UP)
CHEAP_SECONDS = 0.00005
"""What failures may cost for each event of a job, on average, without being counted as time lost."""
HOPELESS_EVENTS = 100
HOPELESS = 4.0
"""Time lost on so many events of which none became a row counts so many times: a template that fails for all of them is
sooner known than one that fails for some, and there are no good events for which to try on.
"""
MIN_LOOKS = 4
"""Looks at a child that tell how much of a job's time was spent on events that failed; with fewer, all events count as
equally dear."""


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


@dataclass(frozen=True, slots=True)
class Spent:
    """What an answered job took: CPU seconds, and the index of the event that it was at, each time it was looked at."""

    seconds: float
    looks: Sequence[int] = ()


class Chunk:
    """One batch on its way through the children, for several exports with `budget_seconds` each (a large one: for
    each BUDGET_EVENTS).

    `lost` and `finished` give the seconds that were spent in vain.
    """

    def __init__(self, batch: EventBatch, exports: int, budget_seconds: float) -> None:
        self.pending = deque(Job(export, 0, len(batch)) for export in range(exports) if len(batch))
        self.exports = exports
        self._batch = batch
        self._budget = [budget_seconds * max(1.0, len(batch) / BUDGET_EVENTS)] * exports
        self._taken = [0.0] * exports
        self._pace: dict[int, int] = {}  # of exports whose jobs were stopped: events that one may have
        self._done: list[dict[int, list[Segment]]] = [{} for _ in range(exports)]

    def seconds(self, export: int) -> float:
        """CPU seconds that the export may still take."""
        return self._budget[export]

    def segments(self, export: int) -> list[Segment] | None:
        """Segments that cover the batch, in order, when nothing of the export is pending."""
        if any(job.export == export for job in self.pending):
            return None
        return [segment for _, part in sorted(self._done[export].items()) for segment in part]

    def work(self, exports: Callable[[int], bool]) -> list[Job]:
        """The jobs that a child should be given next, of the exports that are wanted, in order: all that are pending,
        but of a slow one only about as much as it can do in a slice.
        """
        wanted = [job for job in self.pending if exports(job.export) and job.export not in self._pace]
        for export in filter(exports, self._pace):
            if jobs := self.left(export):
                wanted.append(self._piece(jobs[0]))
        return wanted

    def left(self, export: int) -> list[Job]:
        """The export's jobs that are pending, in the order of events, whatever its pace is."""
        return sorted((job for job in self.pending if job.export == export), key=lambda job: job.start)

    def _piece(self, job: Job) -> Job:
        """As much of a pending job as its export may have at once."""
        middle = job.start + self._pace[job.export]
        if middle >= job.stop:
            return job
        self.pending.remove(job)
        self._append(job, (job.start, middle, 0), (middle, job.stop, 0))
        return Job(job.export, job.start, middle)

    def cut(self, export: int, events: int) -> None:
        """Cut what is pending of the export into jobs of so many events, so that less is done again after a loss."""
        for job in [job for job in self.pending if job.export == export and job.stop - job.start > events]:
            self.pending.remove(job)
            starts = range(job.start, job.stop, events)
            self._append(job, *((start, min(start + events, job.stop), 0) for start in starts))

    def finished(self, job: Job, segments: list[Segment], spent: Spent) -> float:
        """A job is done, or was stopped when it had taken its slice: then the rest of it is put behind the others."""
        if job not in self.pending:
            return 0.0  # its export's budget was used up by a job before it
        self.pending.remove(job)
        stop = job.stop
        failed = [failure for segment in segments for failure in segment.failures]
        unmapped = next(
            (f.offset for f in failed if f.message == USED_UP and f.reason is Reason.TEMPLATE_TIMEOUT), None
        )
        if unmapped is not None:
            stop = bisect_left(self._batch.offsets, unmapped, job.start, job.stop)
            segments = before(segments, unmapped)
            failed = [failure for failure in failed if failure.offset < unmapped]
        if stop > job.start:
            self._done[job.export][job.start] = segments
        if stop < job.stop:
            self.pending.append(Job(job.export, stop, job.stop))
            self._pace[job.export] = 2 * (stop - job.start) + 1
        elif job.export in self._pace:
            # It can do more in a slice: perhaps it was stopped before it had finished anything, by chance.
            self._pace[job.export] = max(self._pace[job.export], 2 * (stop - job.start))
        vain = self._spend(job.export, spent.seconds, self._vain(job.start, stop, failed, spent))
        return vain * HOPELESS if len(failed) == stop - job.start >= HOPELESS_EVENTS else vain

    def lost(self, job: Job, loss: Loss, seconds: float) -> float:
        """A child was lost on this job, after this CPU time."""
        if job not in self.pending:
            return 0.0
        if loss.begun:
            self.pending.remove(job)
            self._split(job, loss)
        seconds += CHILD_LOST_SECONDS
        # An event that is tried alone again, to be sure, is not counted twice.
        return self._spend(job.export, seconds, CHILD_LOST_SECONDS if job.strikes else seconds)

    def refuse(self, export: int, message: str, reason: Reason = Reason.EXPORT_RESTING) -> None:
        """What is left of the export fails with this message, for want of time."""
        left = sorted((job.start, job.stop) for job in self.pending if job.export == export)
        self.pending = deque(job for job in self.pending if job.export != export)
        runs: list[tuple[int, int]] = []
        for start, stop in left:
            runs.append((runs.pop()[0], stop) if runs and runs[-1][1] == start else (start, stop))
        for run in runs:
            self._fail(Job(export, *run), Loss(reason, message))

    def _vain(self, start: int, stop: int, failed: Sequence[Failure], spent: Spent) -> float:
        """Of the seconds taken for the events from `start` to before `stop`, those that went into failures that are
        dear.
        """
        if not failed:
            return 0.0
        share = len(failed) / (stop - start)
        if len(spent.looks) >= MIN_LOOKS:
            offsets = {failure.offset for failure in failed}
            share = sum(self._batch.offsets[index] in offsets for index in spent.looks) / len(spent.looks)
        return max(share * spent.seconds - CHEAP_SECONDS * (stop - start), 0.0)

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

    def _spend(self, export: int, seconds: float, vain: float) -> float:
        """Take it from the export's budget. When that is used up, all that the export took was in vain."""
        self._budget[export] -= seconds
        self._taken[export] += seconds - vain
        if self._budget[export] > 0 or not any(job.export == export for job in self.pending):
            return vain
        self.refuse(export, USED_UP, Reason.TEMPLATE_TIMEOUT)
        return vain + self._taken[export]

    def _fail(self, job: Job, loss: Loss) -> None:
        fault = Fault(loss.reason, loss.column, loss.message)
        faults = dict.fromkeys(range(job.start, job.stop), fault)
        self._done[job.export][job.start] = cut(self._batch, job.start, job.stop, b"", faults, self._raw_size)

    def _raw_size(self, index: int) -> int:
        headers = self._batch.headers[index]
        return len(self._batch.bodies[index]) + sum(len(name) + len(value) for name, value in headers)
