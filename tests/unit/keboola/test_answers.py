"""Storage's loose answers, read. Forms as the API reference has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from app.keboola.answers import BucketDetail, Job, JobStatus, PreparedFile, TableDetail, TokenInfo

JOB: dict[str, Any] = {
    "id": 5001,
    "status": "waiting",
    "tableId": "in.c-buffer.events",
    "operationName": "tableImport",
    "operationParams": {"params": {}, "source": {"fileId": 900, "type": "file"}},
    "createdTime": "2026-11-23T10:00:05+0100",
    "runId": "770001",
    "results": None,
}


def test_job_with_ids_as_text_and_php_lists_for_maps() -> None:
    job = Job.read({**JOB, "id": "5001", "results": [], "operationParams": [], "runId": 770001, "error": None})

    assert (job.id, job.run_id, job.file_id, job.results, job.rows_count) == (5001, "770001", None, {}, None)
    assert job.created == datetime(2026, 11, 23, 9, 0, 5, tzinfo=UTC)
    assert not job.is_final


def test_job_that_failed() -> None:
    error = {"code": "csvImport.columnsNotMatch", "message": "Some columns are missing", "exceptionId": "e1"}

    job = Job.read({**JOB, "status": "error", "error": error, "results": {"missingColumns": ["ts"]}})

    assert (job.status, job.is_final, job.file_id) == (JobStatus.ERROR, True, 900)
    assert (job.error_code, job.error_message, job.exception_id) == tuple(error.values())
    assert job.results == {"missingColumns": ["ts"]}


def test_job_whose_time_has_no_offset_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="without an offset"):
        Job.read({**JOB, "createdTime": "2026-11-23T10:00:05"})


def prepared(provider: str, params_name: str, params: dict[str, Any]) -> PreparedFile:
    return PreparedFile.read(
        {
            "id": "900",
            "name": "n",
            "created": "2026-11-23T10:00:00+0100",
            "provider": provider,
            "region": "us-east-1",
            "isSliced": True,
            params_name: params,
        }
    )


@pytest.mark.parametrize(
    ("provider", "params_name", "params", "expires"),
    [
        (
            "aws",
            "uploadParams",
            {"key": "k", "credentials": {"Expiration": "2026-11-23T22:00:00+00:00"}},
            datetime(2026, 11, 23, 22, tzinfo=UTC),
        ),
        (
            "azure",
            "absUploadParams",
            {"absCredentials": {"expiration": "2026-11-23T22:00:00+0100"}},
            datetime(2026, 11, 23, 21, tzinfo=UTC),
        ),
        ("gcp", "gcsUploadParams", {"expires_in": 3599}, datetime(2026, 11, 23, 21, tzinfo=UTC)),
    ],
)
def test_uploads_end_as_each_cloud_says(
    provider: str, params_name: str, params: dict[str, Any], expires: datetime
) -> None:
    file = prepared(provider, params_name, params)

    assert (file.id, file.provider, file.params, file.expires) == (900, provider, params, expires)
    assert file.created == datetime(2026, 11, 23, 10, tzinfo=timezone(timedelta(hours=1)))
    assert PreparedFile.from_dict(file.to_dict()) == file


def test_googles_credentials_end_before_the_file_and_the_others_with_it() -> None:
    google = prepared("gcp", "gcsUploadParams", {"expires_in": 3599})
    azure = prepared("azure", "absUploadParams", {"absCredentials": {"expiration": "2026-11-23T22:00:00+0100"}})

    assert google.credentials_end == datetime(2026, 11, 23, 9, 59, 59, tzinfo=UTC)
    assert azure.credentials_end == azure.expires


def test_token_of_a_project_with_empty_lists_for_maps() -> None:
    info = TokenInfo.read(
        {
            "id": 44,
            "bucketPermissions": [],
            "expires": None,
            "owner": {"id": "123", "name": "Demo", "features": ["a"], "limits": [], "fileStorageProvider": "gcp"},
        }
    )

    assert (info.id, info.project_id, info.bucket_permissions, info.features) == ("44", 123, {}, ("a",))
    assert (info.jobs_parallelism, info.role, info.is_master, info.file_storage_provider) == (None, None, False, "gcp")


def test_table_and_bucket_with_little_in_them() -> None:
    table = TableDetail.read({"id": "in.c-a.b", "columns": ["x"], "primaryKey": [], "lastImportDate": None})

    assert table == TableDetail("in.c-a.b", ("x",), (), 0, None)
    assert BucketDetail.read({"id": "in.c-a"}) == BucketDetail("in.c-a", "", "")
