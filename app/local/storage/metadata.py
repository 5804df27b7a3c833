"""Durable metadata of the emulator: tokens, buckets, tables, files and jobs in one SQLite file.

Every call is one transaction, so a record is on disk when the call returns and an emulator that is killed goes on with
what it said. Rows of tables are not here (see `warehouse`), nor the bytes of files (see `objects`). Thread-safe: one
connection behind one lock; a call takes well under a millisecond.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from app.local.storage.records import Bucket, Job, JobStatus, Record, StoredFile, Table, Token

R = TypeVar("R", bound=Record)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (id INTEGER PRIMARY KEY AUTOINCREMENT, secret TEXT UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS buckets (id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tables (id TEXT PRIMARY KEY, bucket_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, status TEXT, target TEXT, token_id INTEGER,
    created REAL, started REAL, ended REAL, body TEXT
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status);
CREATE TABLE IF NOT EXISTS tickets (last INTEGER NOT NULL);
"""
_FIRST_IDS = {"files": 900, "jobs": 5000}


class Metadata:
    """The SQLite file. Open it once for each emulator; `close` it last."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        for table, first in _FIRST_IDS.items():
            self._db.execute(
                "INSERT INTO sqlite_sequence (name, seq) SELECT ?, ? "
                "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
                (table, first, table),
            )

    def close(self) -> None:
        """Close the file; nothing may be called afterwards."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run several calls as one: all of it is kept or nothing. May be nested."""
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # tokens

    def add_token(self, make: Callable[[int], Token]) -> Token:
        """Keep a new token; `make` gets its id."""
        with self.transaction() as db:
            token_id = self._next_id("tokens")
            token = make(token_id)
            db.execute("INSERT INTO tokens VALUES (?, ?, ?)", (token_id, token.secret_sha256, token.model_dump_json()))
        return token

    def put_token(self, token: Token) -> None:
        """Keep a token, in place of the one with its id if there is one."""
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)",
                (token.id, token.secret_sha256, token.model_dump_json()),
            )

    def token(self, token_id: int) -> Token | None:
        """Find a token by its id."""
        return self._one(Token, "SELECT body FROM tokens WHERE id = ?", token_id)

    def token_by_secret(self, secret_sha256: str) -> Token | None:
        """Find a token by the SHA-256 of its text."""
        return self._one(Token, "SELECT body FROM tokens WHERE secret = ?", secret_sha256)

    def tokens(self) -> list[Token]:
        """List all tokens, oldest first."""
        return self._all(Token, "SELECT body FROM tokens ORDER BY id")

    def drop_token(self, token_id: int) -> None:
        """Forget a token."""
        with self.transaction() as db:
            db.execute("DELETE FROM tokens WHERE id = ?", (token_id,))

    # buckets and tables

    def put_bucket(self, bucket: Bucket) -> None:
        """Keep a bucket."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?)", (bucket.id, bucket.model_dump_json()))

    def bucket(self, bucket_id: str) -> Bucket | None:
        """Find a bucket."""
        return self._one(Bucket, "SELECT body FROM buckets WHERE id = ?", bucket_id)

    def buckets(self) -> list[Bucket]:
        """List all buckets by id."""
        return self._all(Bucket, "SELECT body FROM buckets ORDER BY id")

    def drop_bucket(self, bucket_id: str) -> None:
        """Forget a bucket and its tables."""
        with self.transaction() as db:
            db.execute("DELETE FROM tables WHERE bucket_id = ?", (bucket_id,))
            db.execute("DELETE FROM buckets WHERE id = ?", (bucket_id,))

    def put_table(self, table: Table) -> None:
        """Keep a table."""
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", (table.id, table.bucket_id, table.model_dump_json())
            )

    def table(self, table_id: str) -> Table | None:
        """Find a table."""
        return self._one(Table, "SELECT body FROM tables WHERE id = ?", table_id)

    def tables(self, bucket_id: str | None = None) -> list[Table]:
        """List the tables of a bucket, or all, by id."""
        if bucket_id is None:
            return self._all(Table, "SELECT body FROM tables ORDER BY id")
        return self._all(Table, "SELECT body FROM tables WHERE bucket_id = ? ORDER BY id", bucket_id)

    def drop_table(self, table_id: str) -> None:
        """Forget a table."""
        with self.transaction() as db:
            db.execute("DELETE FROM tables WHERE id = ?", (table_id,))

    # files

    def add_file(self, make: Callable[[int], StoredFile]) -> StoredFile:
        """Keep a new file; `make` gets its id. Ids of deleted files are not given again."""
        with self.transaction() as db:
            file = make(self._next_id("files"))
            db.execute("INSERT INTO files VALUES (?, ?)", (file.id, file.model_dump_json()))
        return file

    def put_file(self, file: StoredFile) -> None:
        """Keep a changed file."""
        with self.transaction() as db:
            db.execute("UPDATE files SET body = ? WHERE id = ?", (file.model_dump_json(), file.id))

    def file(self, file_id: int) -> StoredFile | None:
        """Find a file."""
        return self._one(StoredFile, "SELECT body FROM files WHERE id = ?", file_id)

    def files(self) -> list[StoredFile]:
        """List all files, newest first."""
        return self._all(StoredFile, "SELECT body FROM files ORDER BY id DESC")

    def drop_file(self, file_id: int) -> None:
        """Forget a file."""
        with self.transaction() as db:
            db.execute("DELETE FROM files WHERE id = ?", (file_id,))

    # jobs

    def add_job(self, make: Callable[[int], Job]) -> Job:
        """Keep a new job; `make` gets its id."""
        with self.transaction():
            job = make(self._next_id("jobs"))
            self.put_job(job)
        return job

    def put_job(self, job: Job) -> None:
        """Keep a job, in place of the one with its id if there is one."""
        times = [None if at is None else at.timestamp() for at in (job.created, job.started, job.ended)]
        with self.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (job.id, job.status, job.target, job.token_id, *times, job.model_dump_json()),
            )

    def job(self, job_id: int) -> Job | None:
        """Find a job."""
        return self._one(Job, "SELECT body FROM jobs WHERE id = ?", job_id)

    def unfinished_jobs(self) -> list[Job]:
        """List the jobs that have not ended, oldest first."""
        return self._all(
            Job,
            "SELECT body FROM jobs WHERE status IN (?, ?) ORDER BY id",
            JobStatus.WAITING,
            JobStatus.PROCESSING,
        )

    def jobs(self, where: list[tuple[str, Any]], limit: int, offset: int) -> list[Job]:
        """List jobs, newest first. `where` has SQL conditions on the columns of `jobs`, each with its value."""
        conditions = " AND ".join(condition for condition, _ in where) or "1"
        values = [value for _, value in where]
        query = f"SELECT body FROM jobs WHERE {conditions} ORDER BY id DESC LIMIT ? OFFSET ?"  # noqa: S608 - own text
        return self._all(Job, query, *values, limit, offset)

    # tickets

    def next_ticket(self) -> int:
        """Give a number that was never given before, by the clock so that it looks like Storage's."""
        with self.transaction() as db:
            row = db.execute("SELECT last FROM tickets").fetchone()
            ticket = max(time.time_ns() // 1000, row[0] + 1 if row else 0)
            db.execute("DELETE FROM tickets")
            db.execute("INSERT INTO tickets VALUES (?)", (ticket,))
        return int(ticket)

    def _next_id(self, table: str) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
        return 1 if row is None else int(row[0]) + 1

    def _one(self, kind: type[R], query: str, *values: Any) -> R | None:
        with self._lock:
            row = self._db.execute(query, values).fetchone()
        return None if row is None else kind.model_validate_json(row[0])

    def _all(self, kind: type[R], query: str, *values: Any) -> list[R]:
        with self._lock:
            rows = self._db.execute(query, values).fetchall()
        return [kind.model_validate_json(row[0]) for row in rows]
