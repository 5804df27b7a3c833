"""What the sink asks of Storage, as coroutines: files, slices, imports, jobs. Blocking calls go to a bounded thread
pool.

Nothing is decided and nothing is repeated here; errors come out as app.keboola raises them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from isal import igzip

from app.keboola.answers import Job, PreparedFile
from app.keboola.calls import Timeouts
from app.keboola.client import StorageClient
from app.keboola.errors import StorageError, StorageNotFound, StorageRefused
from app.keboola.renewal import Renew
from app.keboola.upload import Uploader
from app.model.cipher import Cipher
from app.model.errors import ConfigurationError
from app.model.ledger import BatchRecord, Slice, StagedFile
from app.model.receiver import Export
from app.settings import Settings
from app.sink.events import StorageEvents
from app.sink.slots import ImportSlot, ImportSlots

T = TypeVar("T")
_COMPRESSION_LEVEL = 1


class Exchange:
    """One per process. Every call uses the token of the export's revision and the run id of the batch."""

    def __init__(self, settings: Settings, cipher: Cipher) -> None:
        self._settings, self._cipher = settings, cipher
        self._threads = ThreadPoolExecutor(
            settings.uploads_in_parallel + settings.imports_in_parallel, thread_name_prefix="storage"
        )
        self._uploads = asyncio.Semaphore(settings.uploads_in_parallel)
        self._slots = ImportSlots(settings.imports_in_parallel)
        self._uploader = Uploader(
            s3_endpoint_url=settings.storage_s3_endpoint, gcs_endpoint_url=settings.storage_gcs_endpoint
        )
        self._timeouts = Timeouts(settings.storage_connect_seconds, settings.storage_read_seconds)
        self.events = StorageEvents(self._send_event, enabled=settings.storage_events == "on")

    def close(self) -> None:
        self.events.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._uploader.close()

    def import_slot(self, export: Export, record: BatchRecord) -> ImportSlot:
        """A claim to the import of this batch's table, and to one of its project's imports."""

        def ask() -> int | None:
            with suppress(StorageError), self._client(export, record.revision) as client:
                return client.verify_token().jobs_parallelism or self._settings.imports_in_parallel
            return None

        async def limit() -> int | None:
            return await self._run(ask)

        return self._slots.slot(export.project_id, record.table_id, limit)

    async def open_file(self, export: Export, revision: int, batch_id: str) -> tuple[StagedFile, str]:
        """A new sliced file for this batch, with a run id of its own (rule 13)."""

        def work() -> tuple[StagedFile, str]:
            with self._client(export, revision) as client:
                run_id = client.create_ticket()
            return self._prepare(export, revision, batch_id, run_id), run_id

        return await self._run(work)

    async def upload(
        self, export: Export, revision: int, file: StagedFile, name: str, csv: Sequence[bytes], rows: int
    ) -> Slice:
        """Compress these rows and store them as one slice."""

        def work() -> Slice:
            data = b"".join(csv)
            stored = igzip.compress(data, _COMPRESSION_LEVEL)
            self._uploader.upload_slice(self._target(file), name, stored, self._renewal(export, revision, file))
            return Slice(name, rows, len(data), len(stored))

        async with self._uploads:
            return await self._run(work)

    async def write_manifest(self, export: Export, record: BatchRecord) -> None:
        """List the slices that the ledger has recorded, now that the list is final (rule 10)."""
        await self._run(lambda: self._manifest(export, record.file, record))

    async def post_import(self, export: Export, record: BatchRecord) -> str:
        """One POST of the import; the job's id."""
        mapping = export.of_revision(record.revision).mapping

        def work() -> str:
            with self._client(export, record.revision, record.run_id) as client:
                job = client.import_file(
                    record.table_id,
                    int(record.file.file_id),
                    columns=mapping.column_names,
                    incremental=record.incremental,
                )
            return str(job.id)

        return await self._run(work)

    async def job(self, export: Export, record: BatchRecord) -> Job:
        """The job of the last attempt as it is now."""
        job_id = record.attempts[-1].job_id
        if job_id is None:
            raise RuntimeError(f"batch {record.batch_id} has no job")

        def work() -> Job:
            with self._client(export, record.revision) as client:
                return client.job(int(job_id))

        return await self._run(work)

    async def find_jobs(self, export: Export, record: BatchRecord, witness: Job | None) -> tuple[Job, ...]:
        """Jobs of the batch's last attempt that its token sees, oldest first, and the witness if it is visible (rule
        14).

        Looked for from the file's creation (by Storage's clock), or the witness's.
        """
        since = datetime.fromtimestamp(record.file.created_ms / 1000, UTC)

        def work() -> tuple[Job, ...]:
            with self._client(export, record.revision) as client:
                return client.find_jobs(
                    since=min(since, witness.created) if witness else since,
                    run_id=witness.run_id if witness else None,
                    file_id=int(record.attempts[-1].file_id),
                    table_id=record.table_id,
                )

        return await self._run(work)

    async def copy(self, export: Export, record: BatchRecord) -> StagedFile:
        """The recorded slices and a manifest in another file (rule 15).

        They are read with credentials that Storage gives anew: those for uploads may have ended.
        """

        def work() -> StagedFile:
            with self._client(export, record.revision) as client:
                source = client.stored_file(int(record.file.file_id))  # first: each try that fails here makes no file
            second = self._prepare(export, record.revision, record.batch_id, record.run_id)
            target, renew_target = self._target(second), self._renewal(export, record.revision, second)
            for part in record.slices:
                data = self._uploader.download_slice(source, part.name)
                self._uploader.upload_slice(target, part.name, data, renew_target)
            self._manifest(export, second, record)
            return second

        return await self._run(work)

    async def delete_file(self, export: Export, record: BatchRecord) -> None:
        """Delete the batch's first file; nothing to do when it is gone already."""

        def work() -> None:
            with self._client(export, record.revision) as client, suppress(StorageNotFound):
                client.delete_file(int(record.file.file_id))

        await self._run(work)

    def _send_event(self, export: Export, revision: int, run_id: str, body: dict[str, Any]) -> None:
        with self._client(export, revision, run_id) as client:
            client.create_event(body)

    def _prepare(self, export: Export, revision: int, batch_id: str, run_id: str) -> StagedFile:
        name = f"{export.receiver_id}_{export.export_id}_{batch_id}"
        tags = [
            f"stream.receiver={export.receiver_id}",
            f"stream.export={export.export_id}",
            f"stream.batch={batch_id}",
        ]
        with self._client(export, revision, run_id) as client:
            prepared = client.prepare_file(name, tags, sliced=True)
        upload = self._cipher.encrypt(json.dumps(prepared.to_dict()))
        return StagedFile(
            str(prepared.id),
            int(prepared.created.timestamp() * 1000),
            int(prepared.expires.timestamp() * 1000),
            upload,
        )

    def _manifest(self, export: Export, file: StagedFile, record: BatchRecord) -> None:
        names = [part.name for part in record.slices]
        self._uploader.upload_manifest(self._target(file), names, self._renewal(export, record.revision, file))

    def _renewal(self, export: Export, revision: int, file: StagedFile) -> Renew:
        def renew() -> PreparedFile:
            with self._client(export, revision) as client:
                return client.refresh_file(int(file.file_id))

        return renew

    def _target(self, file: StagedFile) -> PreparedFile:
        return PreparedFile.from_dict(json.loads(self._secret(file.upload)))

    def _client(self, export: Export, revision: int, run_id: str | None = None) -> StorageClient:
        token = self._secret(export.of_revision(revision).token)
        return StorageClient(self._settings.storage_api_host, token, run_id=run_id, timeouts=self._timeouts)

    def _secret(self, encrypted: bytes) -> str:
        """One that no key fits is that export's trouble, and must not end the sink."""
        try:
            return self._cipher.decrypt(encrypted)
        except ConfigurationError as error:
            raise StorageRefused(error.message) from error

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
