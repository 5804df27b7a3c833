"""What Storage answers, as typed values.

Readers are as lenient as Storage is loose: ids are numbers or texts, empty maps are empty lists, times have an offset
without a colon. Times are aware.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class JobStatus(StrEnum):
    """The four states of a job; the last two are final."""

    WAITING = "waiting"
    PROCESSING = "processing"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True)
class TokenInfo:
    """Whose a token is and what it may do (`tokens/verify`)."""

    id: str
    description: str
    project_id: int
    project_name: str
    is_master: bool
    can_manage_buckets: bool
    can_manage_tokens: bool
    can_read_all_file_uploads: bool
    bucket_permissions: dict[str, str]
    expires: datetime | None
    file_storage_provider: str
    jobs_parallelism: int | None
    features: tuple[str, ...]
    role: str | None

    @staticmethod
    def read(body: Json) -> TokenInfo:
        """Read Storage's answer."""
        owner = body["owner"]
        limit = mapping(owner.get("limits")).get("storage.jobsParallelism")
        return TokenInfo(
            id=str(body["id"]),
            description=str(body.get("description") or ""),
            project_id=int(owner["id"]),
            project_name=str(owner.get("name") or ""),
            is_master=bool(body.get("isMasterToken")),
            can_manage_buckets=bool(body.get("canManageBuckets")),
            can_manage_tokens=bool(body.get("canManageTokens")),
            can_read_all_file_uploads=bool(body.get("canReadAllFileUploads")),
            bucket_permissions={str(key): str(value) for key, value in mapping(body.get("bucketPermissions")).items()},
            expires=time_of(body.get("expires")),
            file_storage_provider=str(owner.get("fileStorageProvider") or ""),
            jobs_parallelism=None if limit is None else int(limit["value"]),
            features=tuple(map(str, owner.get("features") or [])),
            role=mapping(body.get("admin")).get("role"),
        )


@dataclass(frozen=True)
class TokenSummary:
    """A token as the list shows it."""

    id: str
    description: str
    created: datetime | None

    @staticmethod
    def read(body: Json) -> TokenSummary:
        """Read one item of Storage's list."""
        return TokenSummary(str(body["id"]), str(body.get("description") or ""), time_of(body.get("created")))


@dataclass(frozen=True)
class CreatedToken:
    """A token just made or refreshed. `token` is shown this once; it is a secret."""

    id: str
    token: str = field(repr=False)
    description: str
    expires: datetime | None

    @staticmethod
    def read(body: Json) -> CreatedToken:
        """Read Storage's answer."""
        return CreatedToken(
            str(body["id"]), str(body["token"]), str(body.get("description") or ""), time_of(body.get("expires"))
        )


@dataclass(frozen=True)
class BucketDetail:
    """A bucket. `id` is `in.c-<name>`."""

    id: str
    display_name: str
    stage: str

    @staticmethod
    def read(body: Json) -> BucketDetail:
        """Read Storage's answer."""
        return BucketDetail(str(body["id"]), str(body.get("displayName") or ""), str(body.get("stage") or ""))


@dataclass(frozen=True)
class TableDetail:
    """A table. `columns` are in table order. `last_import` and `rows_count` change with every import."""

    id: str
    columns: tuple[str, ...]
    primary_key: tuple[str, ...]
    rows_count: int
    last_import: datetime | None

    @staticmethod
    def read(body: Json) -> TableDetail:
        """Read Storage's answer."""
        return TableDetail(
            id=str(body["id"]),
            columns=tuple(map(str, body.get("columns") or [])),
            primary_key=tuple(map(str, body.get("primaryKey") or [])),
            rows_count=int(body.get("rowsCount") or 0),
            last_import=time_of(body.get("lastImportDate")),
        )


@dataclass(frozen=True)
class FileDetail:
    """A file resource."""

    id: int
    name: str
    created: datetime
    is_sliced: bool
    tags: tuple[str, ...]
    run_id: str | None

    @staticmethod
    def read(body: Json) -> FileDetail:
        """Read Storage's answer."""
        return FileDetail(
            id=int(body["id"]),
            name=str(body["name"]),
            created=required_time(body["created"]),
            is_sliced=bool(body.get("isSliced")),
            tags=tuple(map(str, body.get("tags") or [])),
            run_id=text_or_none(body.get("runId")),
        )


@dataclass(frozen=True)
class PreparedFile:
    """A file resource to upload to: where, and with what. `params` holds credentials: keep it encrypted.

    `created` is by Storage's clock, the one that jobs' times are by. After `expires` nothing can be uploaded. On GCS
    the credentials end earlier (`credentials_end`) and can be renewed until then.
    """

    id: int
    name: str
    created: datetime
    provider: str
    region: str
    is_sliced: bool
    expires: datetime
    params: Json = field(repr=False)

    @staticmethod
    def read(body: Json) -> PreparedFile:
        """Read Storage's answer for any provider."""
        provider = str(body["provider"])
        created = required_time(body["created"])
        params = mapping(body.get(_PARAMS.get(provider, "")))
        return PreparedFile(
            id=int(body["id"]),
            name=str(body["name"]),
            created=created,
            provider=provider,
            region=str(body.get("region") or ""),
            is_sliced=bool(body.get("isSliced")),
            expires=_expiry(provider, params, created),
            params=params,
        )

    @staticmethod
    def read_stored(body: Json) -> PreparedFile:
        """Read the answer that describes a file with credentials to read it (`federationToken`), as one to upload to:
        the names of what it says differ.
        """
        params: Json = {**mapping(body.get("s3Path")), "credentials": body.get("credentials")}
        if "absPath" in body:
            path = body["absPath"]
            params = {
                "accountName": "",  # which only addresses in manifests need
                "container": path["container"],
                "blobName": path["name"],
                "absCredentials": body["absCredentials"],
            }
        elif "gcsPath" in body:
            params = {**body["gcsPath"], **body["gcsCredentials"]}
        provider = next((name for name, path in _PATHS.items() if path in body), "")
        return PreparedFile.read({**body, "provider": provider, _PARAMS.get(provider, ""): params})

    @property
    def credentials_seconds(self) -> int | None:
        """How long the credentials live from when they were given; None for those that cannot be renewed."""
        return int(self.params.get("expires_in") or 0) if self.provider == "gcp" else None

    @property
    def credentials_end(self) -> datetime:
        """The end of the credentials that came with the file; `expires` where they cannot be renewed."""
        seconds = self.credentials_seconds
        return self.expires if seconds is None else self.created + timedelta(seconds=seconds)

    def to_dict(self) -> Json:
        """Give all of it, secrets included, as JSON values."""
        return {
            "id": self.id,
            "name": self.name,
            "created": self.created.isoformat(),
            "provider": self.provider,
            "region": self.region,
            "is_sliced": self.is_sliced,
            "expires": self.expires.isoformat(),
            "params": self.params,
        }

    @staticmethod
    def from_dict(values: Json) -> PreparedFile:
        """Read what `to_dict` gave."""
        times = {name: datetime.fromisoformat(values[name]) for name in ("created", "expires")}
        return PreparedFile(**{**values, **times})


@dataclass(frozen=True)
class Job:
    """A Storage job. `rows_count` is the table's total after an import, not the batch's."""

    id: int
    status: JobStatus
    operation: str
    table_id: str | None
    file_id: int | None
    run_id: str | None
    created: datetime
    error_code: str | None
    error_message: str | None
    exception_id: str | None
    rows_count: int | None
    results: Json

    @property
    def is_final(self) -> bool:
        """Say whether the job has ended."""
        return self.status in (JobStatus.SUCCESS, JobStatus.ERROR)

    @staticmethod
    def read(body: Json) -> Job:
        """Read Storage's answer."""
        source = mapping(mapping(body.get("operationParams")).get("source"))
        error = mapping(body.get("error"))
        results = mapping(body.get("results"))
        return Job(
            id=int(body["id"]),
            status=JobStatus(body["status"]),
            operation=str(body.get("operationName") or ""),
            table_id=text_or_none(body.get("tableId")),
            file_id=None if source.get("fileId") is None else int(source["fileId"]),
            run_id=text_or_none(body.get("runId")),
            created=required_time(body["createdTime"]),
            error_code=text_or_none(error.get("code")),
            error_message=text_or_none(error.get("message")),
            exception_id=text_or_none(error.get("exceptionId")),
            rows_count=None if results.get("totalRowsCount") is None else int(results["totalRowsCount"]),
            results=results,
        )


RENEWABLE = timedelta(hours=12)
"""How long after a file's creation Storage renews its GCS credentials (Storage API: `files/{id}/refresh`)."""
_PATHS = {"aws": "s3Path", "azure": "absPath", "gcp": "gcsPath"}
_PARAMS = {"aws": "uploadParams", "azure": "absUploadParams", "gcp": "gcsUploadParams"}


def _expiry(provider: str, params: Json, created: datetime) -> datetime:
    if provider == "gcp":
        return created + RENEWABLE
    credentials = mapping(params.get("credentials") or params.get("absCredentials"))
    return time_of(credentials.get("Expiration") or credentials.get("expiration")) or created


def mapping(value: Any) -> Json:
    """Give a map; what is none (PHP's empty list, null) is an empty one."""
    return value if isinstance(value, dict) else {}


def text_or_none(value: Any) -> str | None:
    """Give a text, None for null and the empty text."""
    return None if value is None or value == "" else str(value)


def time_of(value: Any) -> datetime | None:
    """Read a time with an offset, None for null. Raises ValueError for a time without one."""
    return None if not value else required_time(value)


def required_time(value: Any) -> datetime:
    """Read a time with an offset."""
    at = datetime.fromisoformat(str(value))
    if at.tzinfo is None:
        raise ValueError(f"Storage sent a time without an offset: {value!r}")
    return at
