"""The rows of the emulator's tables: one DuckDB file, a schema for each bucket, every column VARCHAR and never NULL.

What a job writes, and the note that it wrote it, are one DuckDB transaction: so each job is all or nothing, and one
that is met again after a crash of the emulator is known to be done (`outcome`). One writer at a time; readers see the
last commit and are not held up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa

_NOTES = "emulator.outcomes"


def quoted(*names: str) -> str:
    """Quote the parts of a SQL name: `"in.c-flights"."departures"`."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _split(table_id: str) -> tuple[str, str]:
    bucket_id, _, name = table_id.rpartition(".")
    return bucket_id, name


class Warehouse:
    """The DuckDB file; DuckDB locks it, so there is one for each process and file."""

    def __init__(self, path: Path, *, threads: int, memory: str) -> None:
        self._db = duckdb.connect(
            str(path),
            config={
                "threads": threads,
                "memory_limit": memory,
                "preserve_insertion_order": False,
                "enable_external_access": False,
            },
        )
        self._writer = threading.Lock()
        with self.writing() as write:
            write.run("CREATE SCHEMA IF NOT EXISTS emulator")
            write.run(f"CREATE TABLE IF NOT EXISTS {_NOTES} (job BIGINT, outcome VARCHAR)")

    def close(self) -> None:
        """Write everything into the file and close it."""
        with self._writer:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[Write]:
        """Open the one write transaction; it commits at the end of the block and rolls back if the block fails."""
        with self._writer:
            cursor = self._db.cursor()
            try:
                cursor.execute("BEGIN").fetchall()
                try:
                    yield Write(cursor)
                except BaseException:
                    cursor.execute("ROLLBACK").fetchall()
                    raise
                cursor.execute("COMMIT").fetchall()
            finally:
                cursor.close()

    def outcome(self, job_id: int) -> dict[str, Any] | None:
        """Give what a job noted when it committed, or None when nothing of it is in the tables."""
        rows = self._read(f"SELECT outcome FROM {_NOTES} WHERE job = ?", [job_id])[1]  # noqa: S608 - own name
        return orjson.loads(rows[0][0]) if rows else None

    def forget_outcomes(self) -> None:
        """Drop all notes: call it when the metadata has every job's end, before new jobs run."""
        with self.writing() as write:
            write.run(f"DELETE FROM {_NOTES}")  # noqa: S608 - own name

    def rows_count(self, table_id: str) -> int:
        """Count the rows of a table; DuckDB knows the number without reading them."""
        return int(self._read(f"SELECT count(*) FROM {quoted(*_split(table_id))}")[1][0][0])  # noqa: S608 - quoted

    def preview(
        self, table_id: str, columns: Sequence[str], where: str, values: Sequence[str], order: str, limit: int
    ) -> list[tuple[str, ...]]:
        """Read up to `limit` rows of a table. `where` and `order` are SQL made of quoted names and `?` only."""
        names = ", ".join(quoted(column) for column in columns)
        source = quoted(*_split(table_id))
        query = f"SELECT {names} FROM {source}{where}{order} LIMIT {limit:d}"  # noqa: S608 - quoted
        return self._read(query, list(values))[1]

    def query(self, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one read-only statement and give its columns and rows.

        Raises ValueError for a statement that is no query or is wrong.
        """
        try:
            statements = duckdb.extract_statements(text)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ValueError("only one query (SELECT, FROM, SUMMARIZE, ...) is allowed")
            return self._read(text)
        except duckdb.Error as error:
            raise ValueError(str(error)) from error

    def _read(self, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        cursor = self._db.cursor()
        try:
            cursor.execute(query, list(values))
            return [column[0] for column in cursor.description or ()], cursor.fetchall()
        finally:
            cursor.close()


class Write:
    """What may be done within a write transaction."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; give the number of rows it touched, 0 where DuckDB tells none."""
        rows = self._cursor.execute(statement, list(values)).fetchall()
        return int(rows[0][0]) if rows and rows[0] and isinstance(rows[0][0], int) else 0

    def note(self, job_id: int, outcome: dict[str, Any]) -> None:
        """Note with the transaction that the job is done, and with what outcome."""
        self.run(f"INSERT INTO {_NOTES} VALUES (?, ?)", [job_id, orjson.dumps(outcome).decode()])  # noqa: S608 - own name

    def create_bucket(self, bucket_id: str) -> None:
        """Make a bucket's schema."""
        self.run(f"CREATE SCHEMA IF NOT EXISTS {quoted(bucket_id)}")

    def drop_bucket(self, bucket_id: str) -> None:
        """Drop a bucket's schema with all its tables."""
        self.run(f"DROP SCHEMA IF EXISTS {quoted(bucket_id)} CASCADE")

    def create_table(self, table_id: str, columns: Sequence[str]) -> None:
        """Make a table.

        The primary key is not declared to DuckDB: its index would cost memory by the row and slow every load, and
        `upsert` needs none.
        """
        names = ", ".join(f"{quoted(column)} VARCHAR NOT NULL" for column in columns)
        self.run(f"CREATE TABLE {quoted(*_split(table_id))} ({names})")

    def drop_table(self, table_id: str) -> None:
        """Drop a table."""
        self.run(f"DROP TABLE IF EXISTS {quoted(*_split(table_id))}")

    def add_columns(self, table_id: str, columns: Sequence[str]) -> None:
        """Add columns at the end of a table; the rows that are there get an empty string in them."""
        table = quoted(*_split(table_id))
        for column in columns:
            self.run(f"ALTER TABLE {table} ADD COLUMN {quoted(column)} VARCHAR DEFAULT ''")

    def truncate(self, table_id: str) -> None:
        """Remove all rows of a table."""
        self.run(f"DELETE FROM {quoted(*_split(table_id))}")  # noqa: S608 - quoted

    def rows_count(self, table_id: str) -> int:
        """Count a table's rows as this transaction sees them."""
        return self.run(f"SELECT count(*) FROM {quoted(*_split(table_id))}")  # noqa: S608 - quoted

    def append(self, table_id: str, rows: pa.RecordBatchReader) -> int:
        """Append rows (columns by name); give their number."""
        names = ", ".join(quoted(name) for name in rows.schema.names)
        self._cursor.register("slices", rows)
        try:
            return self.run(f"INSERT INTO {quoted(*_split(table_id))} ({names}) SELECT {names} FROM slices")  # noqa: S608 - quoted
        finally:
            self._cursor.unregister("slices")

    def upsert(self, table_id: str, primary_key: Sequence[str], rows: pa.RecordBatchReader) -> int:
        """Put rows in by primary key; give how many keys that were. Of rows with one key any one survives."""
        table = quoted(*_split(table_id))
        names = ", ".join(quoted(name) for name in rows.schema.names)
        keys = ", ".join(quoted(name) for name in primary_key)
        same = " AND ".join(f"{table}.{quoted(name)} = staged.{quoted(name)}" for name in primary_key)
        self._cursor.register("slices", rows)
        try:
            self.run(f"CREATE TEMP TABLE staged AS SELECT DISTINCT ON ({keys}) {names} FROM slices")  # noqa: S608 - quoted
        finally:
            self._cursor.unregister("slices")
        self.run(f"DELETE FROM {table} USING staged WHERE {same}")  # noqa: S608 - quoted
        count = self.run(f"INSERT INTO {table} ({names}) SELECT {names} FROM staged")  # noqa: S608 - quoted
        self.run("DROP TABLE staged")
        return count
