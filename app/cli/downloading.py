"""The rows of a batch, from its sliced file in Storage to one CSV text: one slice in memory at a time.

The file's credentials come from Storage itself, for the token that the API is called with: rows do not go through the
gateway.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from app.cli.buffer import BufferApi, local_address
from app.keboola.calls import Timeouts
from app.keboola.client import StorageClient
from app.keboola.errors import StorageNotFound, StorageTokenInvalid
from app.keboola.upload import Uploader
from app.model.errors import ConfigurationError, NotFound, StreamsError
from app.settings import Settings


def download(settings: Settings, buffer: BufferApi, file: Mapping[str, Any], output: Path | None) -> list[str]:
    """Write the batch whose file the API describes so (BatchFile); what there is to warn of.

    A file at `output` is replaced once all rows are there. Raises NotFound when Storage has the file no more.
    """
    settings = _with_storage(settings, buffer.address)
    uploader = Uploader(s3_endpoint_url=settings.storage_s3_endpoint, gcs_endpoint_url=settings.storage_gcs_endpoint)
    timeouts = Timeouts(settings.storage_connect_seconds, settings.storage_read_seconds)
    try:
        with StorageClient(settings.storage_api_host, buffer.token, timeouts=timeouts) as storage:
            stored = storage.stored_file(int(file["fileId"]))
        with _opened(output) as stream:
            if "columns" in file:
                stream.write(header(file["columns"]))
            for part in file["slices"]:
                rows = gzip.decompress(uploader.download_slice(stored, part["name"]))
                if len(rows) != part["csvBytes"]:
                    raise StreamsError(
                        f"Slice {part['name']} of file {file['fileId']} has {len(rows):,} bytes instead of "
                        f"{part['csvBytes']:,}: it was changed in Storage."
                    )
                stream.write(rows)
    except StorageNotFound as error:
        raise NotFound(
            f"Storage at {settings.storage_api_host} does not have file {file['fileId']} any more, or not "
            "all of it: files are kept for 15 days, and a batch whose import is unclear moves to another file (then "
            "try again).",
            "storage.files.notFound",
        ) from error
    except StorageTokenInvalid as error:
        raise ConfigurationError(
            f"Storage at {settings.storage_api_host} does not know the token that the API takes: set "
            "STREAMS_STORAGE_API_HOST to the Storage of the project."
        ) from error
    finally:
        uploader.close()
    return [] if "columns" in file else ["The mapping of the batch is forgotten, so the rows have no header line."]


def header(columns: Sequence[str]) -> bytes:
    r"""The first line of a CSV text with these columns.

    >>> header(["id", "key"])
    b'"id","key"\n'
    """
    return (",".join('"' + name.replace('"', '""') + '"' for name in columns) + "\n").encode()


def _with_storage(settings: Settings, address: str) -> Settings:
    """The settings with the Storage behind the API at this address: the local stack's own, if nothing else is said."""
    if "storage_api_host" in settings.model_fields_set or address != local_address(settings):
        return settings
    from app.local.surroundings import local_settings

    return local_settings(settings)


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """Where the text goes; what is left unfinished leaves no file."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as stream:
            yield stream
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
