"""What the jobs do: make and drop tables and buckets, import files, delete files.

Each operation writes its rows and its note in one DuckDB transaction and then brings the metadata up to date; `recall`
brings the metadata up to date again for one that had committed when the emulator died. So an operation happens once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from app.local.storage.csv_slices import Dialect, Slice, SliceRows, read_header
from app.local.storage.errors import JobFailed
from app.local.storage.metadata import Metadata
from app.local.storage.records import Job, Operation, StoredFile, Table, now
from app.local.storage.stores import ObjectStore
from app.local.storage.warehouse import Warehouse, Write

Results = dict[str, Any]


class Operations:
    """Carries jobs out on the three stores."""

    def __init__(self, metadata: Metadata, warehouse: Warehouse, objects: ObjectStore) -> None:
        self._metadata = metadata
        self._warehouse = warehouse
        self._objects = objects
        self._write: dict[Operation, Callable[[Job, Write], Results]] = {
            Operation.TABLE_IMPORT: self._import,
            Operation.TABLE_CREATE: self._create_from_file,
            Operation.TABLE_DEFINITION_CREATE: self._create_from_definition,
            Operation.TABLE_DELETE: self._delete_table,
            Operation.BUCKET_DELETE: self._delete_bucket,
            Operation.FILE_DELETE: self._delete_file,
        }

    def perform(self, job: Job) -> Results:
        """Carry a job out; raises JobFailed, and then nothing of it is in the tables."""
        with self._warehouse.writing() as write:
            results = self._write[job.operation](job, write)
            write.note(job.id, results)
        self._settle(job, results)
        return results

    def recall(self, job: Job) -> Results | None:
        """Give the results of a job whose transaction had committed, None for one that is still to be done."""
        results = self._warehouse.outcome(job.id)
        if results is not None:
            self._settle(job, results)
        return results

    def _settle(self, job: Job, results: Results) -> None:
        """Bring the metadata up to date with what the transaction did. Doing it twice changes nothing."""
        table_id = results.get("id") or job.table_id
        if job.operation is Operation.TABLE_IMPORT:
            table = self._metadata.table(job.target)
            if table is not None:
                columns = tuple(results["tableColumns"])
                self._metadata.put_table(table.model_copy(update={"last_import": now(), "columns": columns}))
        elif job.operation in (Operation.TABLE_CREATE, Operation.TABLE_DEFINITION_CREATE):
            imported = now() if job.operation is Operation.TABLE_CREATE else None
            self._metadata.put_table(
                Table(
                    id=str(table_id),
                    bucket_id=job.params["bucketId"],
                    name=job.params["name"],
                    columns=tuple(results["columns"]),
                    primary_key=tuple(results["primaryKey"]),
                    is_typed=bool(job.params.get("isTyped")),
                    created=now(),
                    last_import=imported,
                )
            )
        elif job.operation is Operation.TABLE_DELETE:
            self._metadata.drop_table(job.target)
        elif job.operation is Operation.BUCKET_DELETE:
            self._metadata.drop_bucket(job.target)
        elif job.file_id is not None:
            self._metadata.drop_file(job.file_id)

    def _import(self, job: Job, write: Write) -> Results:
        table = self._metadata.table(job.target)
        if table is None:
            raise JobFailed("storage.tables.notFound", f"The table {job.target!r} was not found")
        slices, columns, with_header = self._source(job, table.columns)
        missing = [column for column in table.columns if column not in columns]
        if missing:
            raise JobFailed(
                "csvImport.columnsNotMatch",
                f"Some columns are missing in the csv file. Missing columns: {','.join(missing)}. "
                f"Expected columns: {','.join(table.columns)}. "
                'Please check if the expected delimiter "," is used in the csv file.',
                {"missingColumns": missing, "expectedColumns": list(table.columns)},
            )
        added = [column for column in columns if column not in table.columns]
        write.add_columns(table.id, added)
        if not job.params.get("incremental"):
            write.truncate(table.id)
        self._load(write, table.id, table.primary_key, job, slices, columns, with_header)
        return {
            "importedColumns": list(columns),
            "totalRowsCount": write.rows_count(table.id),
            "totalDataSizeBytes": sum(piece.path.stat().st_size for piece in slices),
            "warnings": [],
            "transaction": None,
            "newColumns": added,
            "tableColumns": [*table.columns, *added],
        }

    def _create_from_file(self, job: Job, write: Write) -> Results:
        slices, columns, with_header = self._source(job, tuple(job.params.get("columns") or ()))
        primary_key = [key for key in job.params["primaryKey"] if key]
        unknown = [key for key in primary_key if key not in columns]
        if unknown:
            raise JobFailed("storage.validation.primaryKey", f"Primary key columns {unknown} are not in the file.")
        table_id = self._create(job, write, columns)
        self._load(write, table_id, primary_key, job, slices, columns, with_header)
        return {"id": table_id, "name": job.params["name"], "columns": list(columns), "primaryKey": primary_key}

    def _create_from_definition(self, job: Job, write: Write) -> Results:
        columns = job.params["columns"]
        table_id = self._create(job, write, columns)
        return {"id": table_id, "name": job.params["name"], "columns": columns, "primaryKey": job.params["primaryKey"]}

    def _create(self, job: Job, write: Write, columns: list[str]) -> str:
        bucket_id = job.params["bucketId"]
        table_id = f"{bucket_id}.{job.params['name']}"
        if self._metadata.bucket(bucket_id) is None:
            raise JobFailed("storage.buckets.notFound", f"Bucket {bucket_id} not found")
        if self._metadata.table(table_id) is not None:
            raise JobFailed(
                "storage.buckets.tableAlreadyExists", f"The table {job.params['name']!r} already exists in the bucket."
            )
        write.create_table(table_id, columns)
        return table_id

    def _delete_table(self, job: Job, write: Write) -> Results:
        write.drop_table(job.target)
        return {}

    def _delete_bucket(self, job: Job, write: Write) -> Results:
        if not job.params.get("force") and self._metadata.tables(job.target):
            raise JobFailed("buckets.deleteNotEmpty", "Only empty buckets can be deleted. There are some tables.")
        write.drop_bucket(job.target)
        return {}

    def _delete_file(self, job: Job, write: Write) -> Results:
        file = None if job.file_id is None else self._metadata.file(job.file_id)
        if file is not None:
            self._objects.delete_prefix(file.key)
        return {}

    def _load(
        self,
        write: Write,
        table_id: str,
        primary_key: tuple[str, ...] | list[str],
        job: Job,
        slices: list[Slice],
        columns: list[str],
        with_header: bool,
    ) -> None:
        if not slices:
            return
        rows = SliceRows(slices, columns, _dialect(job), with_header=with_header)
        try:
            if primary_key:
                write.upsert(table_id, primary_key, rows.reader)
            else:
                write.append(table_id, rows.reader)
        except duckdb.Error as error:
            raise rows.failure or error from error
        pa.default_memory_pool().release_unused()

    def _source(self, job: Job, table_columns: tuple[str, ...]) -> tuple[list[Slice], list[str], bool]:
        """Find the slices of the job's file, the columns they hold in order, and whether a header comes first."""
        file = None if job.file_id is None else self._metadata.file(job.file_id)
        if file is None:
            raise JobFailed("storage.files.notFound", f"File {job.file_id} not found")
        slices = self._slices(file)
        columns = list(job.params.get("columns") or table_columns)
        if job.params.get("withoutHeaders") or (file.is_sliced and job.params.get("columns")):
            return slices, columns, False
        if not slices:
            return slices, columns, False
        return slices, read_header(slices[0], _dialect(job)), True

    def _slices(self, file: StoredFile) -> list[Slice]:
        if not file.is_sliced:
            path = self._objects.path(file.key)
            if path is None:
                raise JobFailed("storage.fileNotUploaded", f"File {file.id} was not uploaded to the file storage.")
            return [Slice(file.name, path)]
        manifest = self._objects.path(f"{file.key}manifest")
        if manifest is None:
            raise JobFailed("storage.manifestFileMissing", f"The manifest of the sliced file {file.id} is missing.")
        try:
            urls = [entry["url"] for entry in orjson.loads(manifest.read_bytes())["entries"]]
        except (ValueError, KeyError, TypeError) as error:
            raise JobFailed("storage.manifestFileInvalid", f"The manifest of file {file.id} is invalid.") from error
        return [self._slice(file, url) for url in urls]

    def _slice(self, file: StoredFile, url: str) -> Slice:
        key = url.removeprefix(self._objects.url_prefix)
        if key == url or not key.startswith(file.key):
            raise JobFailed("storage.unauthorizedAccess", f"The manifest of file {file.id} points outside it: {url}")
        path = self._objects.path(key)
        if path is None:
            raise JobFailed("storage.importFileMissing", f"The slice {url} of file {file.id} is missing.")
        return Slice(url, path)


def _dialect(job: Job) -> Dialect:
    params = job.params
    return Dialect(params["delimiter"], params["enclosure"], params["escapedBy"])
