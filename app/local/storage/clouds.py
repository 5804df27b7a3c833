"""Files on Azure's or Google's storage instead of the emulator's S3: on an emulator of theirs that is running already.

For tests of the way there. Objects are read by the clouds' own SDKs, into files below `root` for imports. Neither
emulator checks what it is told about permissions; Azurite checks the SAS itself.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.local.storage.records import StoredFile, now, wire_time
from app.local.storage.stores import CREDENTIALS_HOURS, Json, ObjectStore, dated_key

AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's account and key, the same everywhere and public."""
GCS_BUCKET = "kbc-local-files"
_GCS_TOKEN_SECONDS = 3599


def open_store(provider: str, url: str, root: Path) -> ObjectStore:
    """Give the store of `azure` or `gcp` whose emulator listens at `url`."""
    root.mkdir(parents=True, exist_ok=True)
    return AzureStore(url, root) if provider == "azure" else GcsStore(url, root)


class AzureStore:
    """Azurite: a container for each file, as Storage has it. A key is `container/blob`."""

    provider, region = "azure", "north-europe"
    url_prefix = f"azure://{AZURE_ACCOUNT}.blob.core.windows.net/"

    def __init__(self, url: str, root: Path) -> None:
        from azure.storage.blob import BlobServiceClient

        self._endpoint = f"{url}/{AZURE_ACCOUNT}"
        self._root = root
        self._client = BlobServiceClient(self._endpoint, credential=_AZURE_KEY)

    def key(self, project_id: int, file_id: int, name: str, made: datetime) -> str:
        """Give `container/blob`. Two emulators may use one Azurite, hence the chance in it."""
        return f"exp-15-files-{project_id}-{file_id}-{made:%Y-%m-%d}-{secrets.token_hex(3)}/{name}"

    def address(self, key: str) -> str:
        """Give the URL of a blob."""
        return f"{self._endpoint}/{key}?{self._sas(key.partition('/')[0])}"

    def upload_params(self, file: StoredFile) -> Json:
        """Make the container, and give it."""
        container, _, blob = file.key.partition("/")
        self._client.create_container(container)
        credentials = self._credentials(container)
        return {
            "absUploadParams": {
                "accountName": AZURE_ACCOUNT,
                "container": container,
                "blobName": blob,
                "absCredentials": credentials,
            }
        }

    def download_params(self, file: StoredFile) -> Json:
        """Give where the blobs are."""
        container, _, blob = file.key.partition("/")
        return {"absPath": {"container": container, "name": blob}, "absCredentials": self._credentials(container)}

    def path(self, key: str) -> Path | None:
        """Download a blob."""
        from azure.core.exceptions import ResourceNotFoundError

        blob = self._client.get_blob_client(*key.split("/", 1))
        return _fetched(self._root, key, lambda: iter(blob.download_blob().chunks()), ResourceNotFoundError)

    def delete_prefix(self, prefix: str) -> None:
        """Delete the file's container."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            self._client.delete_container(prefix.partition("/")[0])
        except ResourceNotFoundError:
            return

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _credentials(self, container: str) -> Json:
        expiration = wire_time(now() + timedelta(hours=CREDENTIALS_HOURS))
        connection = f"BlobEndpoint={self._endpoint};SharedAccessSignature={self._sas(container)}"
        return {"expiration": expiration, "SASConnectionString": connection}

    def _sas(self, container: str) -> str:
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        return generate_container_sas(
            AZURE_ACCOUNT,
            container,
            account_key=_AZURE_KEY,
            permission=ContainerSasPermissions(read=True, write=True, list=True),
            expiry=now() + timedelta(hours=CREDENTIALS_HOURS),
        )


class GcsStore:
    """gcp-storage-emulator: one bucket. It takes any access token."""

    provider, region = "gcp", "europe-west3"
    url_prefix = f"gs://{GCS_BUCKET}/"

    def __init__(self, url: str, root: Path) -> None:
        from google.api_core.exceptions import Conflict
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.storage import Client

        self._url, self._root = url, root
        self._client: Any = Client(
            project="local",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # as it ships
            client_options={"api_endpoint": url},
        )
        self._bucket = self._client.bucket(GCS_BUCKET)
        try:
            self._bucket.create()
        except Conflict:
            return

    def key(self, project_id: int, file_id: int, name: str, made: datetime) -> str:
        """Give a key as on S3. Two emulators may use one server, hence the chance in it."""
        return dated_key(project_id, file_id, f"{secrets.token_hex(3)}.{name}", made)

    def address(self, key: str) -> str:
        """Give the URL of an object."""
        return f"{self._url}/{GCS_BUCKET}/{key}"

    def upload_params(self, file: StoredFile) -> Json:
        """Give the bucket and an access token that Storage would renew."""
        return {"gcsUploadParams": {"bucket": GCS_BUCKET, "key": file.key, **self._credentials()}}

    def download_params(self, file: StoredFile) -> Json:
        """Give where the objects are."""
        return {"gcsPath": {"bucket": GCS_BUCKET, "key": file.key}, "gcsCredentials": self._credentials()}

    def path(self, key: str) -> Path | None:
        """Download an object."""
        from google.api_core.exceptions import NotFound

        blob = self._bucket.blob(key)
        return _fetched(self._root, key, lambda: iter([blob.download_as_bytes()]), NotFound)

    def delete_prefix(self, prefix: str) -> None:
        """Delete the objects below a prefix."""
        for blob in self._client.list_blobs(GCS_BUCKET, prefix=prefix):
            blob.delete()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _credentials(self) -> Json:
        return {
            "projectId": "local",
            "token_type": "Bearer",
            "access_token": f"ya29.{secrets.token_urlsafe(60)}",
            "expires_in": _GCS_TOKEN_SECONDS,
        }


def _fetched(root: Path, key: str, read: Callable[[], Any], missing: type[Exception]) -> Path | None:
    path = root / hashlib.sha256(key.encode()).hexdigest()
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as target:
            target.writelines(read())
    except missing:
        part.unlink()
        return None
    return part.replace(path)
