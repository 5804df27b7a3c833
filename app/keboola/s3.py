"""Uploads to S3 by boto3, with the federation credentials of one prepared file. Importing this imports boto3."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.keboola.answers import PreparedFile
from app.keboola.errors import StorageAccessDenied, StorageError, StorageNotFound, StorageUnavailable

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 3},
    max_pool_connections=4,
)
_session_lock = threading.Lock()
_session = boto3.session.Session()
"""Shared, because a session reads S3's description once, for 0.1 s; making clients of it is not thread-safe."""


class S3Target:
    """The objects of one file, as `app.keboola.upload.FileTarget` has it. boto3's clients are thread-safe."""

    def __init__(self, prepared: PreparedFile, endpoint_url: str | None) -> None:
        params = prepared.params
        credentials = params["credentials"]
        self._bucket = str(params["bucket"])
        self._key = str(params["key"])
        self._headers: dict[str, str] = {"ACL": str(params.get("acl") or "private")}
        encryption = params.get("x-amz-server-side-encryption")
        if encryption:
            self._headers["ServerSideEncryption"] = str(encryption)
        with _session_lock:
            self._client: Any = _session.client(
                "s3",
                region_name=prepared.region,
                endpoint_url=endpoint_url,
                aws_access_key_id=credentials["AccessKeyId"],
                aws_secret_access_key=credentials["SecretAccessKey"],
                aws_session_token=credentials["SessionToken"],
                config=_CONFIG,
            )

    def put(self, name: str, data: bytes) -> None:
        """Write the object `key + name`."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._key + name, Body=data, **self._headers)
        except ClientError as error:
            raise _translated(name, error) from error
        except BotoCoreError as error:
            raise StorageUnavailable(f"S3 could not be reached to upload {name}: {error}") from error

    def get(self, name: str) -> bytes:
        """Read the object `key + name`."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key + name)
            return bytes(answer["Body"].read())
        except ClientError as error:
            raise _translated(name, error) from error
        except BotoCoreError as error:
            raise StorageUnavailable(f"S3 could not be reached to read {name}: {error}") from error

    def url(self, name: str) -> str:
        """Give `s3://bucket/key`."""
        return f"s3://{self._bucket}/{self._key}{name}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _translated(name: str, error: ClientError) -> StorageError:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(error.response.get("Error", {}).get("Code", ""))
    if 400 <= status < 500 and status not in (408, 429) and code not in ("RequestTimeout", "SlowDown"):
        kind = StorageNotFound if status == 404 else StorageAccessDenied
        return kind(f"S3 refused {name}: {error}", code=code, http_status=status)
    return StorageUnavailable(f"S3 could not handle {name}: {error}")
