"""Uploads to Azure Blob Storage by azure-storage-blob, with the SAS of one prepared file. Importing this imports the
SDK.

A blob's address has the SAS in it, and what the SDK's errors say of addresses is not ours to promise: nothing of
them is repeated but code and status.
"""

from __future__ import annotations

from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.blob import BlobServiceClient, ExponentialRetry

from app.keboola.answers import PreparedFile
from app.keboola.errors import StorageError, StorageUnavailable, upload_error

_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_RETRIES = 2
_FIRST_PAUSE_SECONDS = 1
_BUSY_CODES = {"ServerBusy", "OperationTimedOut"}


class AzureTarget:
    """The blobs of one file, as `app.keboola.upload.FileTarget` has it. The SDK's clients are thread-safe."""

    def __init__(self, prepared: PreparedFile) -> None:
        params = prepared.params
        self._account = str(params["accountName"])
        self._container = str(params["container"])
        self._blob = str(params["blobName"])
        self._client = BlobServiceClient.from_connection_string(
            str(params["absCredentials"]["SASConnectionString"]),
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retry_policy=ExponentialRetry(
                initial_backoff=_FIRST_PAUSE_SECONDS,
                increment_base=_FIRST_PAUSE_SECONDS,
                retry_total=_RETRIES,
                random_jitter_range=1,
            ),
        )

    def put(self, name: str, data: bytes) -> None:
        """Write the block blob `blobName + name`, also over one that is there (an attempt before, whose answer was
        lost).
        """
        try:
            self._of(name).upload_blob(data, blob_type="BlockBlob", overwrite=True)
        except AzureError as error:
            raise _translated(name, error) from None

    def get(self, name: str) -> bytes:
        """Read the blob `blobName + name`."""
        try:
            return bytes(self._of(name).download_blob().readall())
        except AzureError as error:
            raise _translated(name, error) from None

    def url(self, name: str) -> str:
        """Give `azure://account.blob.core.windows.net/container/blob`, whatever the address that it is written to."""
        return f"azure://{self._account}.blob.core.windows.net/{self._container}/{self._blob}{name}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _of(self, name: str) -> Any:
        return self._client.get_blob_client(self._container, self._blob + name)


def _translated(name: str, error: AzureError) -> StorageError:
    if isinstance(error, HttpResponseError) and error.status_code:
        code = str(getattr(error, "error_code", "") or "")
        return upload_error("Azure", name, int(error.status_code), code, busy=code in _BUSY_CODES)
    return StorageUnavailable(f"Azure could not be reached for {name}: {type(error).__name__}")
