"""One request and its answer, as the routes see them: no HTTP, no ASGI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.local.storage.errors import bucket_missing, file_missing, invalid, job_missing, table_missing
from app.local.storage.params import Params
from app.local.storage.records import Bucket, Job, JobFault, JobStatus, Operation, StoredFile, Table, Token, now
from app.local.storage.storage import Storage
from app.local.storage.views import job_view

SYNC_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """What to send back: `body` is JSON unless it is a str (sent as CSV text); None sends nothing."""

    status: int
    body: Any = None


@dataclass(frozen=True)
class Call:
    """A request from a valid token. `path` holds the parts of the path that the route names."""

    storage: Storage
    token: Token
    token_text: str
    path: dict[str, str]
    params: Params
    run_id: str | None
    fault: JobFault | None

    def bucket(self) -> Bucket:
        """Find the bucket that the path names; 404 if there is none."""
        bucket_id = self.path["bucket_id"]
        bucket = self.storage.metadata.bucket(bucket_id)
        if bucket is None:
            raise bucket_missing(bucket_id)
        return bucket

    def table(self) -> Table:
        """Find the table that the path names; 404 if there is none."""
        table_id = self.path["table_id"]
        table = self.storage.metadata.table(table_id)
        if table is None:
            raise table_missing(table_id)
        return table

    def file(self, text: str | None = None) -> StoredFile:
        """Find the file that `text`, or the path, names; 404 if there is none."""
        text = self.path["file_id"] if text is None else text
        file = self.storage.metadata.file(_number(text, "file"))
        if file is None:
            raise file_missing(text)
        return file

    def job(self) -> Job:
        """Find the job that the path names; 404 if there is none."""
        job = self.storage.metadata.job(_number(self.path["job_id"], "job"))
        if job is None:
            raise job_missing(self.path["job_id"])
        return job

    def submit(
        self,
        operation: Operation,
        target: str,
        params: dict[str, Any],
        *,
        table_id: str | None = None,
        file_id: int | None = None,
    ) -> Job:
        """Queue a job of this request's token and run id."""
        return self.storage.jobs.add(
            lambda job_id: Job(
                id=job_id,
                operation=operation,
                status=JobStatus.WAITING,
                created=now(),
                target=target,
                table_id=table_id,
                params=params,
                file_id=file_id,
                run_id=self.run_id,
                token_id=self.token.id,
                token_description=self.token.description,
                fault=self.fault,
            )
        )

    def accepted(self, job: Job) -> Answer:
        """Answer with a job that is under way."""
        return Answer(202, job_view(job, self.storage.url))

    def finished(self, job: Job) -> Answer:
        """Wait for a job and answer as the synchronous form of the call does: 204, or the job's error."""
        ended = self.storage.jobs.wait(job.id, SYNC_TIMEOUT_SECONDS)
        if ended.error is not None:
            raise invalid(ended.error.message, ended.error.code)
        return Answer(204)


Handler = Callable[[Call], Answer]


def _number(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise invalid(f"Invalid {what} id {text!r}: a number is expected.")
    return int(text)
