"""What an import does to a table: appending, upserting, truncating, and all or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import igzip

from app.keboola.answers import Job, JobStatus, PreparedFile
from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator

COLUMNS = ["id", "text"]


def to_csv(rows: list[tuple[str, ...]]) -> bytes:
    lines = (",".join(f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def upload(client: StorageClient, uploader: Uploader, *slices: list[tuple[str, ...]]) -> PreparedFile:
    prepared = client.prepare_file("rows")
    names = [f"{number:04}.gz" for number in range(len(slices))]
    for name, rows in zip(names, slices, strict=True):
        uploader.upload_slice(prepared, name, igzip.compress(to_csv(rows), 1))
    uploader.upload_manifest(prepared, names)
    return prepared


def load(client: StorageClient, table_id: str, file_id: int, *, incremental: bool = True) -> Job:
    job = client.import_file(table_id, file_id, columns=COLUMNS, incremental=incremental)
    return client.wait_job(job.id, 30)


def rows_of(emulator: Emulator, table_id: str) -> list[tuple[str, ...]]:
    bucket_id, _, name = table_id.rpartition(".")
    return sorted(emulator.sql(f'select * from "{bucket_id}"."{name}"'))


def test_slices_of_a_file_are_appended_together(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    prepared = upload(master, uploader, [("1", "a"), ("2", "b")], [], [("3", "c")])

    job = load(master, table.id, prepared.id)

    assert (job.status, job.rows_count) == (JobStatus.SUCCESS, 3)
    assert job.results["importedColumns"] == COLUMNS
    assert rows_of(emulator, table.id) == [("1", "a"), ("2", "b"), ("3", "c")]


def test_the_same_file_is_loaded_as_often_as_it_is_posted(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    prepared = upload(master, uploader, [("1", "a")])

    totals = [load(master, table.id, prepared.id).rows_count for _ in range(2)]

    assert totals == [1, 2]
    assert rows_of(emulator, table.id) == [("1", "a"), ("1", "a")]


def test_primary_key_upserts_and_keeps_one_row_of_a_key(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS, ["id"])
    load(master, table.id, upload(master, uploader, [("1", "old"), ("2", "kept")]).id)

    job = load(master, table.id, upload(master, uploader, [("1", "new"), ("3", "x"), ("3", "y")]).id)

    rows = dict(rows_of(emulator, table.id))
    assert job.rows_count == 3
    assert (rows["1"], rows["2"]) == ("new", "kept")
    assert rows["3"] in ("x", "y")


def test_full_load_replaces_all_rows(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    load(master, table.id, upload(master, uploader, [("1", "a"), ("2", "b")]).id)

    load(master, table.id, upload(master, uploader, [("9", "z")]).id, incremental=False)

    assert rows_of(emulator, table.id) == [("9", "z")]


def test_a_broken_slice_leaves_the_table_as_it_was(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    load(master, table.id, upload(master, uploader, [("1", "a")]).id)
    before = master.table_detail(table.id)
    prepared = upload(master, uploader, [("2", "b")], [("3", "c", "one too many")])

    job = load(master, table.id, prepared.id, incremental=False)

    assert (job.status, job.error_code) == (JobStatus.ERROR, "invalidCsv")
    assert rows_of(emulator, table.id) == [("1", "a")]
    assert master.table_detail(table.id) == before


def test_import_changes_the_last_import_date_and_the_rows_count(
    master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)

    load(master, table.id, upload(master, uploader, [("1", "a"), ("2", "b")]).id)

    after = master.table_detail(table.id)
    assert (table.rows_count, table.last_import) == (0, None)
    assert after.rows_count == 2
    assert after.last_import is not None


def test_missing_column_fails_the_job_and_names_it(master: StorageClient, uploader: Uploader, bucket: str) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    prepared = upload(master, uploader, [("1",)])

    job = master.wait_job(master.import_file(table.id, prepared.id, columns=["id"], incremental=True).id)

    assert (job.status, job.error_code) == (JobStatus.ERROR, "csvImport.columnsNotMatch")
    assert job.results == {"missingColumns": ["text"], "expectedColumns": COLUMNS}


def test_column_that_the_table_lacks_is_added(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    load(master, table.id, upload(master, uploader, [("1", "a")]).id)
    prepared = upload(master, uploader, [("2", "b", "c")])

    job = master.wait_job(master.import_file(table.id, prepared.id, columns=[*COLUMNS, "more"], incremental=True).id)

    assert job.status is JobStatus.SUCCESS
    assert master.table_detail(table.id).columns == ("id", "text", "more")
    assert rows_of(emulator, table.id) == [("1", "a", ""), ("2", "b", "c")]


def test_missing_manifest_missing_slice_and_foreign_slice_fail_the_job(
    master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    no_manifest = master.prepare_file("no manifest")
    uploader.upload_slice(no_manifest, "1.gz", igzip.compress(to_csv([("1", "a")])))
    no_slice = master.prepare_file("no slice")
    uploader.upload_manifest(no_slice, ["1.gz"])
    foreign = upload(master, uploader, [("1", "a")])
    thief = master.prepare_file("thief")
    uploader._target(thief).put(  # the manifest of one file that names a slice of another
        "manifest", f'{{"entries": [{{"url": "{uploader._target(foreign).url("0000.gz")}"}}]}}'.encode()
    )

    codes = [load(master, table.id, prepared.id).error_code for prepared in (no_manifest, no_slice, thief)]

    assert codes == ["storage.manifestFileMissing", "storage.importFileMissing", "storage.unauthorizedAccess"]


def test_file_deleted_between_post_and_job_fails_the_job(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    prepared = upload(master, uploader, [("1", "a")])
    emulator.fault("job_delay", path="import-async$", seconds=1)

    job = master.import_file(table.id, prepared.id, columns=COLUMNS, incremental=True)
    master.delete_file(prepared.id)

    ended = master.wait_job(job.id)
    assert (ended.status, ended.error_code) == (JobStatus.ERROR, "storage.files.notFound")
    assert rows_of(emulator, table.id) == []


def test_jobs_of_a_table_run_one_at_a_time_in_order_and_others_beside_them(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    slow = master.create_table(bucket, "slow", COLUMNS)
    other = master.create_table(bucket, "other", COLUMNS)
    prepared = upload(master, uploader, [("1", "a")])
    emulator.fault("job_delay", path="slow/import-async$", seconds=2)

    first = master.import_file(slow.id, prepared.id, columns=COLUMNS, incremental=True)
    second = master.import_file(slow.id, prepared.id, columns=COLUMNS, incremental=True)
    beside = load(master, other.id, prepared.id)
    behind = master.job(second.id)

    assert beside.status is JobStatus.SUCCESS
    assert behind.status is JobStatus.WAITING
    assert master.wait_job(second.id).status is JobStatus.SUCCESS
    assert master.job(first.id).rows_count == 1
    assert master.job(second.id).rows_count == 2


def test_job_that_fails_after_its_rows_landed(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    prepared = upload(master, uploader, [("1", "a")])
    emulator.fault("job_error_after_load", path="import-async$", code="internalError", message="lost the clean-up")

    job = load(master, table.id, prepared.id)

    assert (job.status, job.error_code, job.error_message) == (JobStatus.ERROR, "internalError", "lost the clean-up")
    assert rows_of(emulator, table.id) == [("1", "a")]


def test_job_that_fails_loads_nothing(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    prepared = upload(master, uploader, [("1", "a")])
    emulator.fault("job_error", path="import-async$", code="storage.loadFailed")

    job = load(master, table.id, prepared.id)

    assert (job.status, job.error_code) == (JobStatus.ERROR, "storage.loadFailed")
    assert rows_of(emulator, table.id) == []


@pytest.mark.parametrize("size", [16_384, 1 << 20])
def test_long_values_arrive_whole(
    emulator: Emulator, master: StorageClient, uploader: Uploader, bucket: str, size: int
) -> None:
    table = master.create_table(bucket, "events", COLUMNS)
    value = '"\n,' * (size // 3)

    load(master, table.id, upload(master, uploader, [("1", value), ("2", "short")]).id)

    assert rows_of(emulator, table.id) == [("1", value), ("2", "short")]


nasty = st.text(st.sampled_from(list("a\"\n\r,\\.\0\té😀\ufeff\u2028 '#N")), max_size=6) | st.text(max_size=8)
nasty = nasty.filter(lambda text: text.isprintable() or text.encode("utf-8", "ignore").decode() == text)


@given(st.lists(st.lists(st.tuples(nasty, nasty), max_size=12), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_any_text_arrives_as_it_was(emulator_process: Emulator, slices: list[list[tuple[str, ...]]]) -> None:
    uploader = Uploader(s3_endpoint_url=emulator_process.s3_url)
    with StorageClient(emulator_process.url, emulator_process.master_token) as client:
        if "in.c-nasty" not in {row[0] for row in emulator_process.sql("select schema_name from duckdb_schemas()")}:
            client.create_bucket("in", "nasty")
            client.create_table("in.c-nasty", "values", COLUMNS)
        load(client, "in.c-nasty.values", upload(client, uploader, *slices).id, incremental=False)
    uploader.close()

    assert rows_of(emulator_process, "in.c-nasty.values") == sorted(row for rows in slices for row in rows)
