"""Every call of the client against the local Storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.keboola.answers import JobStatus
from app.keboola.client import StorageClient
from app.keboola.errors import (
    StorageAccessDenied,
    StorageJobFailed,
    StorageNotFound,
    StorageRefused,
    StorageTokenInvalid,
)
from app.keboola.upload import Uploader
from app.local.storage import Emulator

COLUMNS = ["id", "text"]


def test_token_is_verified_with_project_and_permissions(emulator: Emulator, client: StorageClient, bucket: str) -> None:
    created = client.create_token("sink", {bucket: "write"}, expires_in_seconds=3600)

    with StorageClient(emulator.url, created.token) as limited:
        info = limited.verify_token()

    assert (info.id, info.project_id, info.project_name, info.is_master) == (created.id, 1234, "Local project", False)
    assert (info.bucket_permissions, info.can_read_all_file_uploads) == ({bucket: "write"}, True)
    assert (info.file_storage_provider, info.jobs_parallelism, info.role) == ("aws", 4, None)
    assert info.expires is not None
    assert timedelta(minutes=59) < info.expires - datetime.now(UTC) <= timedelta(hours=1)


def test_master_token_is_known_as_one(client: StorageClient) -> None:
    info = client.verify_token()

    assert (info.is_master, info.can_manage_buckets, info.can_manage_tokens, info.role) == (True, True, True, "admin")
    assert info.bucket_permissions == {}


def test_token_is_made_refreshed_listed_and_deleted(emulator: Emulator, client: StorageClient, bucket: str) -> None:
    created = client.create_token("sink of one export", {bucket: "write"})
    refreshed = client.refresh_token(created.id)
    listed = {token.id: token.description for token in client.list_tokens()}
    client.delete_token(created.id)

    assert refreshed.id == created.id
    assert refreshed.token != created.token
    assert listed[created.id] == "sink of one export"
    with StorageClient(emulator.url, refreshed.token) as dead, pytest.raises(StorageTokenInvalid):
        dead.verify_token()
    with pytest.raises(StorageNotFound):
        client.delete_token(created.id)


def test_secrets_are_not_printed(client: StorageClient, bucket: str) -> None:
    token = client.create_token("x", {bucket: "read"})
    prepared = client.prepare_file("x")

    assert token.token not in repr(token)
    assert prepared.params["credentials"]["SecretAccessKey"] not in repr(prepared)


def test_tickets_are_all_different(client: StorageClient) -> None:
    tickets = [client.create_ticket() for _ in range(5)]

    assert len(set(tickets)) == 5
    assert all(ticket.isdigit() for ticket in tickets)


def test_bucket_prefix_is_not_doubled_and_a_second_one_is_refused(client: StorageClient, bucket: str) -> None:
    name = bucket.removeprefix("in.")

    with pytest.raises(StorageRefused) as refused:
        client.create_bucket("in", name)

    assert name.startswith("c-")
    assert refused.value.code == "storage.buckets.alreadyExists"
    assert refused.value.exception_id
    assert client.bucket_detail(bucket).stage == "in"


def test_bucket_is_deleted_when_empty_or_by_force(client: StorageClient, bucket: str) -> None:
    client.create_table(bucket, "events", COLUMNS)

    with pytest.raises(StorageRefused) as refused:
        client.delete_bucket(bucket)
    client.delete_bucket(bucket, force=True)

    assert refused.value.code == "buckets.deleteNotEmpty"
    with pytest.raises(StorageNotFound):
        client.bucket_detail(bucket)


def test_table_is_made_as_asked_and_deleted(client: StorageClient, bucket: str) -> None:
    table = client.create_table(bucket, "events", COLUMNS, ["id"])
    described = client.table_detail(f"{bucket}.events")
    client.delete_table(table.id)

    assert table == described
    assert (table.columns, table.primary_key, table.rows_count, table.last_import) == (("id", "text"), ("id",), 0, None)
    with pytest.raises(StorageNotFound):
        client.table_detail(table.id)
    with pytest.raises(StorageNotFound):
        client.delete_table(table.id)


def test_job_that_makes_a_table_and_fails_says_why(emulator: Emulator, client: StorageClient, bucket: str) -> None:
    emulator.fault("job_error", path="tables-definition$", code="storage.backend", message="no room")

    with pytest.raises(StorageJobFailed, match="no room") as failed:
        client.create_table(bucket, "events", COLUMNS)

    assert failed.value.code == "storage.backend"


def test_file_is_prepared_described_and_deleted(client: StorageClient) -> None:
    prepared = client.prepare_file("clicks", ["a=1", "b=2"], run_id="77")
    detail = client.file_detail(prepared.id)
    client.delete_file(prepared.id)

    assert (detail.name, detail.tags, detail.run_id, detail.is_sliced) == ("clicks", ("a=1", "b=2"), "77", True)
    assert detail.created == prepared.created
    assert timedelta(hours=11) < prepared.expires - prepared.created <= timedelta(hours=12, seconds=1)
    with pytest.raises(StorageNotFound):
        client.file_detail(prepared.id)


def test_prepared_file_survives_being_stored(client: StorageClient) -> None:
    prepared = client.prepare_file("clicks")

    assert type(prepared).from_dict(prepared.to_dict()) == prepared


def test_credentials_of_files_on_s3_cannot_be_renewed(client: StorageClient) -> None:
    prepared = client.prepare_file("clicks")

    with pytest.raises(StorageRefused):
        client.refresh_file(prepared.id)


def test_uploaded_rows_are_imported_and_previewed(client: StorageClient, uploader: Uploader, bucket: str) -> None:
    table = client.create_table(bucket, "events", COLUMNS)
    prepared = client.prepare_file("rows")
    uploader.upload_slice(prepared, "1.csv", b'"1","a"\n"2","b"\n')
    uploader.upload_manifest(prepared, ["1.csv"])

    started = client.import_file(table.id, prepared.id, columns=COLUMNS, incremental=True, run_id="5")
    ended = client.wait_job(started.id)

    assert (started.table_id, started.file_id, started.run_id) == (table.id, prepared.id, "5")
    assert (ended.status, ended.operation, ended.rows_count) == (JobStatus.SUCCESS, "tableImport", 2)
    assert ended.created >= prepared.created
    assert client.preview(table.id, columns=["text"], where={"id": "2"}) == [{"text": "b"}]
    assert len(client.preview(table.id, limit=1)) == 1


def test_failed_import_is_given_with_its_code(client: StorageClient, bucket: str) -> None:
    table = client.create_table(bucket, "events", COLUMNS)
    prepared = client.prepare_file("never uploaded")

    job = client.wait_job(client.import_file(table.id, prepared.id, columns=COLUMNS, incremental=True).id)

    assert (job.status, job.error_code) == (JobStatus.ERROR, "storage.manifestFileMissing")
    assert job.error_message
    assert job.exception_id


def test_token_without_permission_is_denied(emulator: Emulator, client: StorageClient, bucket: str) -> None:
    table = client.create_table(bucket, "events", COLUMNS)
    reader = client.create_token("reader", {bucket: "read"})

    with StorageClient(emulator.url, reader.token) as limited, pytest.raises(StorageAccessDenied) as denied:
        limited.import_file(table.id, 1, columns=COLUMNS, incremental=True)

    assert (denied.value.http_status, denied.value.code) == (403, "accessDenied")


def test_jobs_are_listed_by_page_and_found_by_run_id_or_file(
    emulator: Emulator, client: StorageClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.keboola.client.JOBS_PAGE", 2)
    tables = [client.create_table(bucket, name, COLUMNS).id for name in ("one", "two")]
    prepared = client.prepare_file("x")
    with StorageClient(emulator.url, emulator.master_token, run_id="run-a") as batch:
        first = batch.import_file(tables[0], prepared.id, columns=COLUMNS, incremental=True)
    second = client.import_file(tables[1], prepared.id, columns=COLUMNS, incremental=True, run_id="run-b")
    later = [
        client.import_file(tables[1], client.prepare_file("y").id, columns=COLUMNS, incremental=True).id for _ in "..."
    ]
    since = prepared.created

    def ids(**wanted: object) -> list[int]:
        return [job.id for job in client.find_jobs(since=since, **wanted)]  # type: ignore[arg-type]  # what is tested

    assert ids(run_id="run-a") == [first.id]
    assert ids(file_id=prepared.id) == [first.id, second.id]
    assert ids(file_id=prepared.id, table_id=tables[1]) == [second.id]
    assert ids(run_id="run-c", file_id=1) == []
    assert [job.id for job in client.list_jobs(limit=2, offset=1)] == [later[1], later[0]]
    assert client.list_jobs(created_from=datetime.now(UTC) + timedelta(hours=1)) == ()


def test_only_imports_of_a_file_are_found(emulator: Emulator, client: StorageClient, bucket: str) -> None:
    prepared = client.prepare_file("x", sliced=False)
    other = httpx.post(
        f"{emulator.url}/v2/storage/buckets/{bucket}/tables-async",
        json={"name": "made", "dataFileId": prepared.id},
        headers={"X-StorageApi-Token": emulator.master_token, "X-KBC-RunId": "run-of-a-table"},
        trust_env=False,
        timeout=30,
    ).json()

    assert client.wait_job(other["id"]).file_id == prepared.id
    assert client.find_jobs(since=prepared.created, file_id=prepared.id, run_id="run-of-a-table") == ()


def test_jobs_before_the_file_are_not_looked_at(client: StorageClient, bucket: str) -> None:
    table = client.create_table(bucket, "one", COLUMNS)
    prepared = client.prepare_file("x")
    job = client.import_file(table.id, prepared.id, columns=COLUMNS, incremental=True)

    assert client.find_jobs(since=job.created + timedelta(seconds=1), file_id=prepared.id) == ()
    assert len(client.find_jobs(since=job.created, file_id=prepared.id)) == 1
