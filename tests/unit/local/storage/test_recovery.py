"""A job that had written its rows when the emulator died is done, and is not done again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.local.storage.errors import JobFailed
from app.local.storage.jobs import JobQueue
from app.local.storage.metadata import Metadata
from app.local.storage.operations import Operations
from app.local.storage.records import Bucket, Job, JobStatus, Operation, StoredFile, Table, now
from app.local.storage.warehouse import Warehouse

TABLE_ID = "in.c-a.events"


@dataclass
class Folder:
    """The objects that an import reads, without the S3 server before them."""

    root: Path

    def path(self, key: str) -> Path | None:
        return self.root / key


@dataclass
class Parts:
    metadata: Metadata
    warehouse: Warehouse
    operations: Operations

    def queue(self) -> JobQueue:
        return JobQueue(self.metadata, self.operations.perform, self.operations.recall, workers=1)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    (tmp_path / "rows.csv").write_bytes(b'"1"\n"2"\n')
    metadata = Metadata(tmp_path / "metadata.sqlite")
    warehouse = Warehouse(tmp_path / "tables.duckdb", threads=1, memory="256MB")
    objects: Any = Folder(tmp_path)
    made = now()
    with warehouse.writing() as write:
        write.create_bucket("in.c-a")
        write.create_table(TABLE_ID, ["id"])
    metadata.put_bucket(Bucket(id="in.c-a", name="c-a", display_name="a", stage="in", description="", created=made))
    metadata.put_table(
        Table(
            id=TABLE_ID,
            bucket_id="in.c-a",
            name="events",
            columns=("id",),
            primary_key=(),
            is_typed=False,
            created=made,
        )
    )
    metadata.add_file(
        lambda file_id: StoredFile(
            id=file_id,
            name="rows.csv",
            key="rows.csv",
            created=made,
            size_bytes=None,
            is_sliced=False,
            is_encrypted=False,
            is_permanent=False,
            tags=(),
            run_id=None,
            token_id=1,
        )
    )
    yield Parts(metadata, warehouse, Operations(metadata, warehouse, objects))
    warehouse.close()
    metadata.close()


def import_job(parts: Parts) -> Job:
    file_id = parts.metadata.files()[0].id
    return parts.metadata.add_job(
        lambda job_id: Job(
            id=job_id,
            operation=Operation.TABLE_IMPORT,
            status=JobStatus.PROCESSING,
            created=now(),
            target=TABLE_ID,
            table_id=TABLE_ID,
            params={"incremental": True, "withoutHeaders": True, "delimiter": ",", "enclosure": '"', "escapedBy": ""},
            file_id=file_id,
            token_id=1,
            token_description="",
        )
    )


def test_job_that_had_committed_is_a_success_and_loads_nothing_again(parts: Parts) -> None:
    job = import_job(parts)
    results = parts.operations.perform(job)
    parts.metadata.put_table(parts.metadata.tables()[0].model_copy(update={"last_import": None}))
    queue = parts.queue()

    queue.recover()
    queue.start()
    ended = queue.wait(job.id, 10)
    queue.stop()

    assert (ended.status, ended.results) == (JobStatus.SUCCESS, results)
    assert parts.warehouse.rows_count(TABLE_ID) == 2
    assert parts.metadata.tables()[0].last_import is not None


def test_job_that_had_not_committed_runs(parts: Parts) -> None:
    job = import_job(parts)
    queue = parts.queue()

    queue.recover()
    queue.start()
    ended = queue.wait(job.id, 10)
    queue.stop()

    assert ended.status is JobStatus.SUCCESS
    assert parts.warehouse.rows_count(TABLE_ID) == 2


def test_job_that_fails_leaves_no_note(parts: Parts) -> None:
    job = import_job(parts)
    parts.metadata.drop_file(parts.metadata.files()[0].id)

    with pytest.raises(JobFailed, match="not found"):
        parts.operations.perform(job)

    assert parts.operations.recall(job) is None
    assert parts.warehouse.rows_count(TABLE_ID) == 0


def test_ids_of_deleted_files_and_tickets_are_never_given_again(parts: Parts) -> None:
    file = parts.metadata.files()[0]
    parts.metadata.drop_file(file.id)

    again = parts.metadata.add_file(lambda file_id: file.model_copy(update={"id": file_id}))
    tickets = [parts.metadata.next_ticket() for _ in range(100)]

    assert again.id == file.id + 1
    assert tickets == sorted(set(tickets))
