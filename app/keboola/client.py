"""Storage as Data Streams uses it: one method a call, typed answers, errors that say whether to try again.

Every call is one attempt; nothing here repeats a call that changes something (delivery rules 13 and 14), so an answer
that is lost is a `StorageUnclear` for the caller to clear up by `find_jobs`. Synchronous: one client for each thread.
Importing this costs no cloud SDK; uploads are in `app.keboola.upload`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from app.keboola.answers import (
    BucketDetail,
    CreatedToken,
    FileDetail,
    Job,
    JobStatus,
    PreparedFile,
    TableDetail,
    TokenInfo,
    TokenSummary,
    mapping,
)
from app.keboola.calls import OneAttempt, Timeouts
from app.keboola.endpoints import Buckets, Files, Jobs, Tables, Tokens
from app.keboola.errors import StorageJobFailed, StorageNotFound, StorageUnavailable, StorageUnclear

A = TypeVar("A")

JOBS_PAGE = 100
MAX_JOBS_PAGES = 100
WAIT_SECONDS = 60.0
_IMPORT = "tableImport"
_FIRST_POLL_SECONDS = 0.05
_LAST_POLL_SECONDS = 3.0


class StorageClient:
    """A token's view of Storage at `url`. `run_id` goes with the calls that give none of their own.

    Every method raises StorageRefused (also as StorageTokenInvalid, StorageAccessDenied, StorageNotFound),
    StorageUnavailable, and those that change something StorageUnclear.
    """

    def __init__(self, url: str, token: str, *, run_id: str | None = None, timeouts: Timeouts = Timeouts()) -> None:  # noqa: B008 - frozen
        url = url.rstrip("/")
        self._run_id = run_id
        self._calls = OneAttempt(timeouts)
        self._tokens = Tokens(url, token, self._calls)
        self._buckets = Buckets(url, token, self._calls)
        self._tables = Tables(url, token, self._calls)
        self._files = Files(url, token, self._calls)
        self._jobs = Jobs(url, token, self._calls)

    def __enter__(self) -> StorageClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._calls.close()

    # tokens and run ids

    def verify_token(self) -> TokenInfo:
        """Say whose the token is. Raises StorageTokenInvalid."""
        return _read(TokenInfo.read, self._tokens.verify())

    def create_token(
        self,
        description: str,
        bucket_permissions: dict[str, str],
        *,
        can_read_all_file_uploads: bool = True,
        expires_in_seconds: int | None = None,
    ) -> CreatedToken:
        """Make a token that may `read` or `write` the buckets named; without an expiry it never expires."""
        body: dict[str, Any] = {
            "description": description,
            "bucketPermissions": bucket_permissions,
            "canReadAllFileUploads": can_read_all_file_uploads,
        }
        if expires_in_seconds is not None:
            body["expiresIn"] = expires_in_seconds
        return _read(CreatedToken.read, self._tokens.create(body), changes=True)

    def refresh_token(self, token_id: str) -> CreatedToken:
        """Give a token a new text; the old one is dead at once."""
        return _read(CreatedToken.read, self._tokens.refresh(token_id), changes=True)

    def delete_token(self, token_id: str) -> None:
        """Delete a token. Raises StorageNotFound if it is gone."""
        self._tokens.delete(token_id)

    def list_tokens(self) -> tuple[TokenSummary, ...]:
        """List the project's tokens."""
        return tuple(_read(TokenSummary.read, item) for item in self._tokens.list())

    def create_ticket(self) -> str:
        """Get a run id that nobody else has."""
        return _read(lambda answer: str(answer["id"]), self._tokens.ticket(), changes=True)

    def create_event(self, body: dict[str, Any]) -> None:
        """Put an event into the project's log of events, with the client's run id. `body`: `component`, `message`,
        `type`, `params`, `results`.
        """
        self._tokens.event(body, self._run_id)

    # buckets and tables

    def bucket_detail(self, bucket_id: str) -> BucketDetail:
        """Describe a bucket. Raises StorageNotFound."""
        return _read(BucketDetail.read, self._buckets.detail(bucket_id))

    def create_bucket(self, stage: str, name: str) -> BucketDetail:
        """Make a bucket `<stage>.c-<name>`; a `c-` that `name` has already is not doubled.

        Raises StorageRefused with code `storage.buckets.alreadyExists`.
        """
        plain = name.removeprefix("c-")
        return _read(
            BucketDetail.read,
            self._buckets.create_named({"stage": stage, "name": plain, "displayName": plain}),
            changes=True,
        )

    def delete_bucket(self, bucket_id: str, *, force: bool = False, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Delete a bucket, with `force` with its tables, and wait until it is gone. Raises StorageNotFound."""
        self._finish(self._buckets.delete_async(bucket_id, force=force), timeout_seconds)

    def table_detail(self, table_id: str) -> TableDetail:
        """Describe a table. Raises StorageNotFound."""
        return _read(TableDetail.read, self._tables.detail(table_id))

    def create_table(
        self,
        bucket_id: str,
        name: str,
        columns: Sequence[str],
        primary_key: Sequence[str] = (),
        *,
        timeout_seconds: float = WAIT_SECONDS,
    ) -> TableDetail:
        """Make an empty table whose columns are all STRING, and wait until it is there."""
        body = {
            "name": name,
            "primaryKeysNames": list(primary_key),
            "columns": [{"name": column, "basetype": "STRING"} for column in columns],
        }
        self._finish(self._buckets.define_table(bucket_id, body), timeout_seconds)
        return self.table_detail(f"{bucket_id}.{name}")

    def delete_table(self, table_id: str, *, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Delete a table and wait until it is gone. Raises StorageNotFound."""
        self._finish(self._tables.delete_async(table_id), timeout_seconds)

    def preview(
        self, table_id: str, *, columns: Sequence[str] = (), where: dict[str, str] | None = None, limit: int = 100
    ) -> list[dict[str, str]]:
        """Read up to `limit` rows (1000 at most) where the columns of `where` have its values, cut at 16 KiB."""
        params: dict[str, Any] = {"format": "json", "limit": limit}
        if columns:
            params["columns"] = ",".join(columns)
        for position, (column, value) in enumerate((where or {}).items()):
            params[f"whereFilters[{position}][column]"] = column
            params[f"whereFilters[{position}][operator]"] = "eq"
            params[f"whereFilters[{position}][values][0]"] = value
        rows = self._tables.preview(table_id, params)["rows"]
        return [{cell["columnName"]: cell["value"] for cell in row} for row in rows]

    # files, and imports of them

    def prepare_file(
        self, name: str, tags: Sequence[str] = (), *, sliced: bool = True, run_id: str | None = None
    ) -> PreparedFile:
        """Make a file resource to upload to. An orphan that a lost answer leaves is harmless: it expires."""
        body = {
            "name": name,
            "tags": list(tags),
            "isSliced": sliced,
            "isEncrypted": True,
            "isPermanent": False,
            "notify": False,
            "federationToken": True,
        }
        return _read(PreparedFile.read, self._files.prepare(body, run_id or self._run_id), changes=True)

    def file_detail(self, file_id: int) -> FileDetail:
        """Describe a file. Raises StorageNotFound."""
        return _read(FileDetail.read, self._files.detail(file_id))

    def stored_file(self, file_id: int) -> PreparedFile:
        """Describe a file with credentials to read its objects. Raises StorageNotFound."""
        return _read(PreparedFile.read_stored, self._files.detail(file_id, credentials=True))

    def refresh_file(self, file_id: int) -> PreparedFile:
        """Renew a file's upload credentials: GCS only, and up to 12 hours after the file was made."""
        return _read(PreparedFile.read, self._files.refresh(file_id), changes=True)

    def delete_file(self, file_id: int, *, timeout_seconds: float = WAIT_SECONDS) -> None:
        """Delete a file and wait until it is gone: an import of it can then not succeed. Raises StorageNotFound."""
        self._finish(self._files.delete_async(file_id), timeout_seconds)

    def import_file(
        self, table_id: str, file_id: int, *, columns: Sequence[str], incremental: bool, run_id: str | None = None
    ) -> Job:
        """Start the import of a file without header: exactly one POST, whatever happens.

        `columns` are all columns of the table, in table order. StorageUnclear means that a job may have been made:
        look by `find_jobs` before anything else (delivery rules 13 to 15).
        """
        body = {
            "dataFileId": file_id,
            "incremental": int(incremental),
            "withoutHeaders": 1,
            "columns": list(columns),
            "delimiter": ",",
            "enclosure": '"',
        }
        return _read(Job.read, self._tables.load(table_id, body, run_id or self._run_id), changes=True)

    # jobs

    def job(self, job_id: int) -> Job:
        """Describe a job."""
        return _read(Job.read, self._jobs.detail(job_id))

    def list_jobs(
        self, *, created_from: datetime | None = None, limit: int = JOBS_PAGE, offset: int = 0
    ) -> tuple[Job, ...]:
        """List the jobs that the token may see, newest first."""
        return tuple(_read(Job.read, item) for item in self._jobs.page(created_from, limit, offset))

    def find_jobs(
        self,
        *,
        since: datetime,
        run_id: str | None = None,
        file_id: int | None = None,
        table_id: str | None = None,
    ) -> tuple[Job, ...]:
        """Find the imports begun at or after `since` that have the run id, or that load the file (into the table).

        `since` is by Storage's clock: take `PreparedFile.created`. Pages until jobs are older, without asking the
        server to filter by time, whose reading of time zones is not documented. Oldest first.
        """
        found: dict[int, Job] = {}
        since = since.replace(microsecond=0)
        for page in range(MAX_JOBS_PAGES):
            jobs = self.list_jobs(limit=JOBS_PAGE, offset=page * JOBS_PAGE)
            for job in jobs:
                if job.operation != _IMPORT or job.created < since:
                    continue
                same_run = run_id is not None and job.run_id == run_id
                same_file = file_id is not None and job.file_id == file_id and table_id in (None, job.table_id)
                if same_run or same_file:
                    found[job.id] = job
            if len(jobs) < JOBS_PAGE or jobs[-1].created < since:
                return tuple(sorted(found.values(), key=lambda job: job.id))
        raise StorageUnavailable(
            f"There are more than {MAX_JOBS_PAGES * JOBS_PAGE} jobs since {since}: look again later."
        )

    def wait_job(self, job_id: int, timeout_seconds: float = WAIT_SECONDS) -> Job:
        """Wait until a job has ended, well or badly: asks after 50 ms, then at twice the interval up to 3 s.

        Raises StorageUnavailable when it has not ended in time; Storage being away meanwhile is borne until then.
        """
        deadline = time.monotonic() + timeout_seconds
        pause = _FIRST_POLL_SECONDS
        while True:
            try:
                job = self.job(job_id)
                if job.is_final:
                    return job
                trouble = f"Job {job_id} is still {job.status} after {timeout_seconds:g} s."
            except StorageUnavailable as error:
                trouble = error.message
            left = deadline - time.monotonic()
            if left <= 0:
                raise StorageUnavailable(trouble)
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LAST_POLL_SECONDS)

    def _finish(self, answer: Any, timeout_seconds: float) -> None:
        """Wait for the job of an asynchronous call. Raises StorageJobFailed, as StorageNotFound what is gone."""
        if not mapping(answer).get("id"):
            return
        job = self.wait_job(int(answer["id"]), timeout_seconds)
        if job.status is JobStatus.ERROR:
            code = job.error_code or ""
            kind = StorageNotFound if code.endswith(".notFound") else StorageJobFailed
            raise kind(job.error_message or f"job {job.id} failed", code=code, exception_id=job.exception_id or "")


def _read(read: Callable[[Any], A], answer: Any, *, changes: bool = False) -> A:
    """Read an answer; one of another form than Storage's counts as no answer."""
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError) as error:
        message = f"Storage's answer has an unknown form: {error!r}."
        raise StorageUnclear(message) if changes else StorageUnavailable(message) from error
