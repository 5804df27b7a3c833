"""Parts of one export's batches to slices of their files, tried until they are there."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping

from app.keboola.errors import StorageError, StorageRefused
from app.model.ledger import BatchRecord
from app.model.receiver import Export
from app.sink.events import slice_failed, slice_uploaded
from app.sink.exchange import Exchange
from app.sink.fault_points import Point, reach
from app.sink.importer import Backoff
from app.sink.importing import is_locked
from app.sink.observe import Counters
from app.sink.steps import Part, StagedPart

_log = logging.getLogger(__name__)


class Uploads:
    """`stage` may be cancelled at any time: what is not recorded in the ledger is never imported."""

    def __init__(
        self, exchange: Exchange, counters: Counters, export: Callable[[], Export], now_ms: Callable[[], int]
    ) -> None:
        """`now_ms`: the broker's time."""
        self._exchange, self._counters, self._export, self._now_ms = exchange, counters, export, now_ms
        self.failing = False
        """Whether Storage took nothing when it was asked last."""
        self.trouble = ""
        """What it said last."""

    async def stage(self, parts: Mapping[str, Part], batches: Mapping[str, BatchRecord]) -> dict[str, StagedPart]:
        """A slice for each part, by batch id; `batches` are the ledger's records."""
        async with asyncio.TaskGroup() as uploads:
            tasks = {
                batch_id: uploads.create_task(self._upload(batch_id, part, batches.get(batch_id)))
                for batch_id, part in parts.items()
            }
        return {batch_id: task.result() for batch_id, task in tasks.items()}

    async def _upload(self, batch_id: str, part: Part, record: BatchRecord | None) -> StagedPart:
        """One part as one slice of its batch's file. Each try has a name of its own (rule 10).

        Where the file takes none any more the slices go on in a new one: it was never posted, and the ledger has the
        new one with the step (rule 18).
        """
        backoff = Backoff()
        locked = False
        revision = part.window.revision
        incremental = self._export().of_revision(revision).mapping.incremental
        file, run_id = (record.file, record.run_id) if record else (None, "")
        while True:
            try:
                if locked:
                    file, locked = None if record is None else await self._exchange.copy(self._export(), record), False
                if file is None:
                    file, run_id = await self._exchange.open_file(self._export(), revision, batch_id)
                    reach(Point.FILE_MADE)
                name = f"{len(record.slices) if record else 0:05d}-{secrets.token_hex(8)}.gz"
                uploaded = await self._exchange.upload(self._export(), revision, file, name, part.csv, part.rows)
                reach(Point.SLICE_UPLOADED)
                self.failing = False
                self._exchange.events.tell(self._export(), revision, run_id, slice_uploaded(uploaded))
                return StagedPart(file, run_id, incremental, uploaded)
            except StorageError as error:
                export = self._export()
                _log.warning(
                    "%s/%s batch %s cannot be staged: %s; trying again",
                    export.receiver_id,
                    export.export_id,
                    batch_id,
                    error,
                )
                self._counters.storage_retries += 1
                self.trouble = str(error)
                if file is not None and isinstance(error, StorageRefused):
                    locked = locked or is_locked(file, self._now_ms(), error.http_status)
                if not self.failing:
                    self.failing = True
                    self._exchange.events.tell(export, revision, run_id, slice_failed(str(error)))
                await backoff.wait()
