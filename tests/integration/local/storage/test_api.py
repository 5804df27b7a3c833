"""Answers of the emulator in Storage's forms: buckets, tables, files, jobs, previews, errors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from isal import igzip

from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator


@pytest.fixture
def http(emulator: Emulator) -> Iterator[httpx.Client]:
    headers = {"X-StorageApi-Token": emulator.master_token}
    with httpx.Client(base_url=f"{emulator.url}/v2/storage", headers=headers, trust_env=False) as client:
        yield client


@pytest.fixture
def table(master: StorageClient, uploader: Uploader, bucket: str) -> str:
    """A table of three rows."""
    table_id = master.create_table(bucket, "events", ["id", "text"]).id
    prepared = master.prepare_file("rows")
    uploader.upload_slice(prepared, "1.gz", igzip.compress(b'"1","a"\n"2","b, ""c"""\n"3",""\n'))
    uploader.upload_manifest(prepared, ["1.gz"])
    job = master.import_file(table_id, prepared.id, columns=["id", "text"], incremental=True)
    assert master.wait_job(job.id).rows_count == 3
    return table_id


def error_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["error"]
    assert body["exceptionId"]
    return answer.status_code, body["code"]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/buckets/in.c-none", None, (404, "storage.buckets.notFound")),
        ("GET", "/tables/in.c-none.x", None, (404, "storage.tables.notFound")),
        ("GET", "/files/1", None, (404, "storage.files.notFound")),
        ("GET", "/jobs/1", None, (404, "storage.jobs.notFound")),
        ("GET", "/jobs/one", None, (400, "storage.validation")),
        ("GET", "/nothing", None, (404, "notFound")),
        ("POST", "/buckets", {"name": "a b"}, (400, "storage.validation")),
        ("POST", "/buckets", {"name": "a", "stage": "sys"}, (400, "storage.validation")),
        ("POST", "/files/prepare", {"name": "x", "tags": "one"}, (400, "storage.validation")),
        ("GET", "/files?q=what", None, (400, "query.syntax")),
        ("GET", "/files?tags=one", None, (400, "storage.validation")),
        ("GET", "/jobs?created_time_from=yesterday", None, (400, "storage.validation")),
    ],
)
def test_errors_have_storages_codes(
    http: httpx.Client, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    assert error_of(http.request(method, path, json=body)) == expected


def test_body_that_is_not_json_is_refused(http: httpx.Client) -> None:
    answer = http.post("/buckets", content=b"{", headers={"Content-Type": "application/json"})

    assert error_of(answer) == (400, "storage.validation")


def test_bucket_names_exist_once_whatever_their_case(http: httpx.Client, bucket: str) -> None:
    answer = http.post("/buckets", json={"name": bucket.removeprefix("in.c-").upper()})

    assert error_of(answer) == (400, "storage.buckets.alreadyExists")


def test_bucket_with_tables_is_deleted_only_by_force(http: httpx.Client, table: str, bucket: str) -> None:
    refused = http.delete(f"/buckets/{bucket}")
    forced = http.delete(f"/buckets/{bucket}?force=true")

    assert error_of(refused) == (400, "buckets.deleteNotEmpty")
    assert forced.status_code == 204
    assert error_of(http.get(f"/tables/{table}")) == (404, "storage.tables.notFound")


def test_branch_urls_mean_the_default_branch(http: httpx.Client, table: str) -> None:
    assert http.get(f"/branch/default/tables/{table}").json()["id"] == table


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "events", "columns": [{"name": "a"}]}, "storage.buckets.tableAlreadyExists"),
        ({"name": "t.x", "columns": [{"name": "a"}]}, "storage.tables.validation"),
        ({"name": "t", "columns": []}, "storage.tables.validation"),
        ({"name": "t", "columns": [{"name": "_a"}]}, "storage.tables.validation"),
        ({"name": "t", "columns": [{"name": "a"}, {"name": "A"}]}, "storage.tables.validation"),
        ({"name": "t", "columns": [{"name": "a"}], "primaryKeysNames": ["b"]}, "storage.validation.primaryKey"),
    ],
)
def test_table_definitions_are_checked(http: httpx.Client, table: str, bucket: str, body: Any, code: str) -> None:
    assert error_of(http.post(f"/buckets/{bucket}/tables-definition", json=body)) == (400, code)


def test_preview_as_csv_quotes_every_value(http: httpx.Client, table: str) -> None:
    answer = http.get(f"/tables/{table}/data-preview", params={"orderBy[0][column]": "id"})

    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text == '"id","text"\n"1","a"\n"2","b, ""c"""\n"3",""\n'


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"limit": "2", "orderBy[0][column]": "id", "orderBy[0][order]": "DESC"}, ["3", "2"]),
        (
            {
                "whereFilters[0][column]": "text",
                "whereFilters[0][operator]": "eq",
                "whereFilters[0][values][0]": "",
            },
            ["3"],
        ),
        (
            {
                "whereFilters[0][column]": "id",
                "whereFilters[0][operator]": "ne",
                "whereFilters[0][values][0]": "1",
                "whereFilters[0][values][1]": "3",
            },
            ["2"],
        ),
        (
            {
                "whereFilters[0][column]": "id",
                "whereFilters[0][operator]": "ge",
                "whereFilters[0][values][]": "2",
                "orderBy[0][column]": "id",
            },
            ["2", "3"],
        ),
    ],
)
def test_preview_as_json_filters_orders_and_limits(
    http: httpx.Client, table: str, filters: dict[str, str], ids: list[str]
) -> None:
    answer = http.get(f"/tables/{table}/data-preview", params={"format": "json", "columns": "id", **filters}).json()

    assert answer["columns"] == ["id"]
    assert answer["rows"] == [[{"columnName": "id", "value": value, "isTruncated": False}] for value in ids]


@pytest.mark.parametrize(
    "params",
    [
        {"columns": "id,nope"},
        {"limit": "1001"},
        {"limit": "0"},
        {"format": "xml"},
        {"whereFilters[0][column]": "id", "whereFilters[0][operator]": "like", "whereFilters[0][values][0]": "1"},
        {"whereFilters[0][column]": "id", "whereFilters[0][operator]": "eq"},
    ],
)
def test_preview_refuses_what_it_cannot_do(http: httpx.Client, table: str, params: dict[str, str]) -> None:
    assert error_of(http.get(f"/tables/{table}/data-preview", params=params)) == (400, "storage.validation")


def test_prepared_file_says_where_to_upload_and_keeps_tags_once(http: httpx.Client) -> None:
    answer = http.post(
        "/files/prepare",
        data={"name": "clicks", "isSliced": "1", "federationToken": "1", "tags[]": ["a", "b", "a"]},
        headers={"X-KBC-RunId": "77.1"},
    )

    body = answer.json()
    assert answer.status_code == 201
    assert (body["provider"], body["isSliced"], body["tags"], body["runId"]) == ("aws", True, ["a", "b"], "77.1")
    assert set(body["uploadParams"]["credentials"]) == {
        "AccessKeyId",
        "SecretAccessKey",
        "SessionToken",
        "Expiration",
    }
    assert body["uploadParams"]["x-amz-server-side-encryption"] == "AES256"


def test_files_are_found_by_tag_query_run_id_and_age(http: httpx.Client) -> None:
    made = []
    for number, tags in enumerate((["x", "y"], ["x"], ["y"])):
        headers = {"X-KBC-RunId": f"run-{number}"}
        made.append(http.post("/files/prepare", json={"name": "f", "tags": tags}, headers=headers).json()["id"])

    def ids(**params: Any) -> list[int]:
        return [file["id"] for file in http.get("/files", params={"sinceId": made[0] - 1, **params}).json()]

    assert ids(**{"tags[]": ["x", "y"]}) == [made[2], made[1], made[0]]
    assert ids(q='tags:"x" AND tags:"y"') == [made[0]]
    assert ids(runId="run-1") == [made[1]]
    assert ids(sinceId=made[1]) == [made[2]]
    assert ids(maxId=made[1]) == [made[0]]
    assert ids(limit=1, offset=1) == [made[1]]


def test_tags_are_added_and_removed(http: httpx.Client) -> None:
    file_id = http.post("/files/prepare", json={"name": "f", "tags": ["a"]}).json()["id"]

    added = http.post(f"/files/{file_id}/tags", json={"tag": "b=1/2"})
    tags = http.get(f"/files/{file_id}").json()["tags"]
    removed = http.delete(f"/files/{file_id}/tags/a")

    assert (added.status_code, removed.status_code) == (204, 204)
    assert tags == ["a", "b=1/2"]
    assert http.get(f"/files/{file_id}").json()["tags"] == ["b=1/2"]


def test_import_job_has_storages_form(http: httpx.Client, table: str) -> None:
    file_id = http.post("/files/prepare", json={"name": "f", "isSliced": True}).json()["id"]

    answer = http.post(
        f"/tables/{table}/import-async",
        data={"dataFileId": file_id, "incremental": "1", "withoutHeaders": "1", "columns[]": ["id", "text"]},
        headers={"X-KBC-RunId": "5"},
    )

    job = answer.json()
    assert answer.status_code == 202
    assert (job["operationName"], job["tableId"], job["runId"]) == ("tableImport", table, "5")
    assert job["operationParams"]["source"] == {"fileId": file_id, "type": "file"}
    assert job["operationParams"]["params"]["columns"] == ["id", "text"]
    assert job["operationParams"]["params"]["incremental"] is True


def test_jobs_are_listed_newest_first_by_status_and_time(http: httpx.Client, table: str) -> None:
    jobs = http.get("/jobs", params={"limit": 2}).json()
    created = datetime.fromisoformat(jobs[0]["createdTime"])

    def ids(**params: Any) -> list[int]:
        return [job["id"] for job in http.get("/jobs", params={"limit": 1000, **params}).json()]

    assert [job["operationName"] for job in jobs] == ["tableImport", "tableDefinitionCreate"]
    assert jobs[0]["id"] in ids(created_time_from=created.isoformat())
    assert jobs[0]["id"] in ids(created_time_to=str(int(created.timestamp())))
    assert ids(created_time_from=(created + timedelta(days=1)).isoformat()) == []
    assert jobs[0]["id"] in ids(**{"storage_job_status[]": ["success", "waiting"]})
    assert jobs[0]["id"] not in ids(**{"excluded_storage_job_status[]": ["success"]})
    assert ids(limit=1, offset=1) == [jobs[1]["id"]]


def test_sql_reads_and_never_writes(emulator: Emulator, table: str, bucket: str) -> None:
    assert emulator.sql(f'select count(*) from "{bucket}".events') == [(3,)]
    for query in (f'drop table "{bucket}".events', "select 1; select 2", "copy (select 1) to '/dev/null'", "selec"):
        with pytest.raises(ValueError, match=r"local\.sql"):
            emulator.sql(query)
    assert emulator.sql(f'select count(*) from "{bucket}".events') == [(3,)]


def test_sql_cannot_read_other_files(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="Permission Error"):
        emulator.sql("select * from read_text('/etc/hostname')")
