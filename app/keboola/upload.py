"""Uploads of slices and manifests to the cloud storage that a prepared file names. Bytes in memory, no temporary files.

A slice object is the file's key with the slice's name behind it, the manifest is the key with `manifest`: upload all
slices, then the manifest. An upload can be repeated, so what fails for a passing reason is `StorageUnavailable`, never
unclear. The cloud's SDK is imported by the first upload.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import orjson

from app.keboola.answers import PreparedFile
from app.keboola.errors import StorageAccessDenied, StorageRefused
from app.keboola.renewal import Renew, Renewals

T = TypeVar("T")
MAX_SLICE_BYTES = 2_048_000_000
"""Storage's limit of a file or slice. The sink's never come near it, nor 200 MB: one has at most the rows that a
sink holds in memory (`sink_memory_bytes`, 128 MiB), before compression."""
MAX_OPEN_FILES = 32
"""How many files' connections are kept open."""


class FileTarget(Protocol):
    """Where the objects of one prepared file go. One for each provider; thread-safe."""

    def put(self, name: str, data: bytes) -> None:
        """Write the object whose key is the file's key with `name` behind it.

        Raises StorageRefused (credentials dead, not allowed) or StorageUnavailable (repeat it).
        """

    def get(self, name: str) -> bytes:
        """Read the object back. Raises as `put` does."""

    def url(self, name: str) -> str:
        """Give the object's URL as manifests have it."""

    def close(self) -> None:
        """Close the connections."""


class Uploader:
    """Uploads for many files at once; keeps a connection open for each file's credentials. Thread-safe.

    `s3_endpoint_url` sends S3 uploads there instead of to Amazon (also by the variable AWS_ENDPOINT_URL_S3), and
    `gcs_endpoint_url` GCS uploads instead of to Google (also by STORAGE_EMULATOR_HOST). Azure's address comes with the
    file. `renew` of a call asks for new credentials where a file's end before it does; without it they are used as they
    are.
    """

    def __init__(self, *, s3_endpoint_url: str | None = None, gcs_endpoint_url: str | None = None) -> None:
        self._s3_endpoint_url, self._gcs_endpoint_url = s3_endpoint_url, gcs_endpoint_url
        self._lock = threading.Lock()
        self._targets: OrderedDict[tuple[int, str], FileTarget] = OrderedDict()
        self._renewals = Renewals()
        self._providers: dict[str, Callable[[PreparedFile], FileTarget]] = {
            "aws": self._s3,
            "azure": self._azure,
            "gcp": self._gcs,
        }

    def upload_slice(self, prepared: PreparedFile, name: str, data: bytes, renew: Renew | None = None) -> None:
        """Upload one slice. A gzipped one is named `….gz`, and no two uploads have the same name (delivery rule 10)."""
        if len(data) > MAX_SLICE_BYTES:
            raise StorageRefused(f"slice {name} has {len(data)} bytes; at most {MAX_SLICE_BYTES} are allowed")
        self._use(prepared, renew, lambda target: target.put(name, data))

    def download_slice(self, prepared: PreparedFile, name: str, renew: Renew | None = None) -> bytes:
        """Read a slice back, as it was uploaded."""
        return self._use(prepared, renew, lambda target: target.get(name))

    def upload_manifest(self, prepared: PreparedFile, names: Sequence[str], renew: Renew | None = None) -> None:
        """Upload the list of the file's slices, last of all."""

        def put(target: FileTarget) -> None:
            target.put("manifest", orjson.dumps({"entries": [{"url": target.url(name)} for name in names]}))

        self._use(prepared, renew, put)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            targets = list(self._targets.values())
            self._targets.clear()
        for target in targets:
            target.close()

    def _use(self, prepared: PreparedFile, renew: Renew | None, use: Callable[[FileTarget], T]) -> T:
        """Call `use` with the file's target; once more with renewed credentials if these have ended (401)."""
        current = self._renewals.current(prepared, renew)
        try:
            return use(self._target(current))
        except StorageAccessDenied as error:
            if error.http_status != 401 or renew is None or prepared.credentials_seconds is None:
                raise
        return use(self._target(self._renewals.after_refusal(prepared, current, renew)))

    def _target(self, prepared: PreparedFile) -> FileTarget:
        make = self._providers.get(prepared.provider)
        if make is None:
            raise StorageRefused(
                f"files of this project are on {prepared.provider!r}; uploads go to {', '.join(self._providers)} only",
                code="upload.unknownProvider",
            )
        # Renewed credentials have another token and the same expiry.
        key = (prepared.id, str(prepared.params.get("access_token") or prepared.expires.isoformat()))
        with self._lock:
            target = self._targets.get(key)
            if target is None:
                target = self._targets[key] = make(prepared)
                if len(self._targets) > MAX_OPEN_FILES:
                    self._targets.popitem(last=False)  # not closed: another thread may be uploading by it
            self._targets.move_to_end(key)
        return target

    def _s3(self, prepared: PreparedFile) -> FileTarget:
        from app.keboola.s3 import S3Target

        return S3Target(prepared, self._s3_endpoint_url)

    def _azure(self, prepared: PreparedFile) -> FileTarget:
        from app.keboola.azure import AzureTarget

        return AzureTarget(prepared)

    def _gcs(self, prepared: PreparedFile) -> FileTarget:
        from app.keboola.gcs import GcsTarget

        return GcsTarget(prepared, self._gcs_endpoint_url)
