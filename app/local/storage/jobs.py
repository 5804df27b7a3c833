"""The queue of jobs: asynchronous, in worker threads, one at a time for each target (table or bucket), in order.

A job that was `processing` when the emulator died runs again, unless its transaction had committed: then it is a
success with what it noted. A job that is `waiting` at a stop waits on for the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from app.local.storage.errors import JobFailed, exception_id
from app.local.storage.metadata import Metadata
from app.local.storage.records import Job, JobError, JobStatus, now

log = logging.getLogger(__name__)

Perform = Callable[[Job], dict[str, Any]]
"""Carry a job out and give its results; raises JobFailed."""


class JobQueue:
    """Runs jobs. `perform` does the work; `recall` gives the results of a job that had committed before a crash."""

    def __init__(
        self, metadata: Metadata, perform: Perform, recall: Callable[[Job], dict[str, Any] | None], workers: int
    ) -> None:
        self._metadata = metadata
        self._perform = perform
        self._recall = recall
        self._change = threading.Condition()
        self._waiting: list[Job] = []
        self._busy: set[str] = set()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, name=f"job-{n}", daemon=True) for n in range(workers)]

    def recover(self) -> None:
        """Take up the jobs that had not ended: call it once, before `start`."""
        for job in self._metadata.unfinished_jobs():
            results = self._recall(job)
            if results is not None:
                self._end(job, JobStatus.SUCCESS, results, None)
            else:
                self._waiting.append(job)

    def start(self) -> None:
        """Start the workers."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the running jobs end, start no other, and join the workers."""
        self._stopping.set()
        with self._change:
            self._change.notify_all()
        for thread in self._threads:
            thread.join()

    def add(self, make: Callable[[int], Job]) -> Job:
        """Keep a new job and queue it."""
        with self._change:
            job = self._metadata.add_job(make)
            self._waiting.append(job)
            self._change.notify_all()  # who waits for an end would swallow a single call
        return job

    def wait(self, job_id: int, timeout_seconds: float) -> Job:
        """Wait until a job has ended and give it; raises TimeoutError."""

        def ended() -> Job | None:
            job = self._metadata.job(job_id)
            return job if job is not None and job.is_final else None

        with self._change:
            job = self._change.wait_for(ended, timeout_seconds)
        if job is None:
            raise TimeoutError(f"job {job_id} did not end within {timeout_seconds} s")
        return job

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._stopping.is_set() or self._runnable() is not None)
                job = self._runnable()
                if self._stopping.is_set() or job is None:
                    return
                self._waiting.remove(job)
                self._busy.add(job.target)
            try:
                self._run(job)
            finally:
                with self._change:
                    self._busy.discard(job.target)
                    self._change.notify_all()

    def _runnable(self) -> Job | None:
        return next((job for job in self._waiting if job.target not in self._busy), None)

    def _run(self, job: Job) -> None:
        job = job.model_copy(update={"status": JobStatus.PROCESSING, "started": now()})
        self._metadata.put_job(job)
        fault = job.fault
        if fault is not None and self._stopping.wait(fault.delay_seconds):
            self._metadata.put_job(job.model_copy(update={"status": JobStatus.WAITING, "started": None}))
            return
        try:
            if fault is not None and fault.error_code is not None and not fault.after_load:
                raise JobFailed(fault.error_code, fault.error_message)
            results = self._perform(job)
            if fault is not None and fault.error_code is not None:
                raise JobFailed(fault.error_code, fault.error_message)
        except JobFailed as failure:
            error = JobError(code=failure.code, message=failure.message, exception_id=exception_id())
            self._end(job, JobStatus.ERROR, failure.results, error)
        except Exception as failure:
            log.exception("job %d (%s of %s) failed", job.id, job.operation, job.target)
            error = JobError(code="internalError", message=str(failure), exception_id=exception_id())
            self._end(job, JobStatus.ERROR, None, error)
        else:
            self._end(job, JobStatus.SUCCESS, results, None)

    def _end(self, job: Job, status: JobStatus, results: dict[str, Any] | None, error: JobError | None) -> None:
        ended = {"status": status, "started": job.started or now(), "ended": now(), "results": results, "error": error}
        self._metadata.put_job(job.model_copy(update=ended))
