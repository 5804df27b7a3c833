"""What the emulator asks of the place that files are on, for any cloud: S3 (`objects`), Azure or Google (`clouds`)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from app.local.storage.records import StoredFile

Json = dict[str, Any]

CREDENTIALS_HOURS = 12


class ObjectStore(Protocol):
    """The objects of all files. A file's `key` is the store's own, and all objects of a file begin with it."""

    provider: str
    region: str
    url_prefix: str
    """What stands before an object's key in manifests."""

    def key(self, project_id: int, file_id: int, name: str, made: datetime) -> str:
        """Give a new file's key. `name` is safe for use in it."""

    def address(self, key: str) -> str:
        """Give the URL by which an object is read."""

    def upload_params(self, file: StoredFile) -> Json:
        """Give where and with what to upload a file's objects, as `files/prepare` answers it."""

    def download_params(self, file: StoredFile) -> Json:
        """Give where and with what to read a file's objects."""

    def path(self, key: str) -> Path | None:
        """Give a local file with an object's bytes, None when there is no such object."""

    def delete_prefix(self, prefix: str) -> None:
        """Delete the objects whose keys begin with `prefix`."""

    def close(self) -> None:
        """Stop what runs. The objects stay."""


def dated_key(project_id: int, file_id: int, name: str, made: datetime) -> str:
    """Give a key as Storage makes them on S3 and GCS."""
    return f"exp-15/{project_id}/files/{made:%Y/%m/%d}/{file_id}.{name}"
