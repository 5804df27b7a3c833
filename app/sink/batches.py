"""The batches of one export that the ledger has: which are open, whose import is next, which wait for a person, which
may be forgotten.

At most one import of events as they arrive is under way, and one of each replay, so that a replay whose imports fail
holds nobody (delivery protocol, rules 17 and 21). The records are kept in step with the ledger by whoever writes them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from app.model.ledger import BatchRecord, Phase
from app.model.receiver import BatchRetry
from app.model.replay import lane_of
from app.observe.tracing import Attributes, traced
from app.sink.importer import Importer
from app.sink.importing import TERMINAL, asked_for, in_order
from app.sink.ledger import Ledger

_CREDENTIALS_MARGIN_MS = 30 * 60 * 1000


class Batches:
    """Records by batch id, and the tasks that work on them; `tasks` is the group that owns these."""

    def __init__(
        self,
        export_uid: str,
        name: str,
        records: Iterable[BatchRecord],
        make_importer: Callable[[], Importer],
        ledger: Ledger,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._uid, self._name = export_uid, name
        self._make_importer, self._ledger, self._tasks = make_importer, ledger, tasks
        self._records: dict[str, BatchRecord] = {}
        self._waiting: dict[str, BatchRecord] = {}
        """Those that wait for a person: unclear or expired."""
        self._finished: deque[tuple[int, str]] = deque()
        """Imported batches whose records the ledger still has: when (broker's time), and which, oldest first."""
        for record in sorted(records, key=lambda record: record.finished_ms or 0):
            if record.finished_ms is not None:
                self._finished.append((record.finished_ms, record.batch_id))
            elif record.phase in TERMINAL:
                self._waiting[record.batch_id] = record
            else:
                self._records[record.batch_id] = record
        self._importing: dict[int, asyncio.Task[None]] = {}
        """By lane (see `lane_of`)."""
        self._importers: dict[int, Importer] = {}
        self._forgetting: asyncio.Task[None] | None = None
        self._retrying: asyncio.Task[None] | None = None

    @property
    def unfinished(self) -> Mapping[str, BatchRecord]:
        """Those whose import has not come to an end."""
        return self._records

    @property
    def waiting(self) -> Mapping[str, BatchRecord]:
        """Those that wait for a person."""
        return self._waiting

    @property
    def ids(self) -> list[str]:
        """All that the ledger has."""
        return [*self._records, *self._waiting, *(batch_id for _, batch_id in self._finished)]

    @property
    def running(self) -> list[asyncio.Task[None]]:
        """Tasks under way."""
        tasks = (*self._importing.values(), self._forgetting, self._retrying)
        return [task for task in tasks if task is not None and not task.done()]

    def keep(self, record: BatchRecord) -> None:
        """The ledger has this record now."""
        self._records[record.batch_id] = record

    def expiring(self, now_ms: int) -> list[str]:
        """Open batches whose upload credentials end soon (rule 18)."""
        return [
            record.batch_id
            for record in self._records.values()
            if record.phase is Phase.OPEN and record.file.expires_ms - now_ms < _CREDENTIALS_MARGIN_MS
        ]

    def import_next(self) -> None:
        """Begin to import, unless that is under way or it is no batch's turn."""
        for lane in [lane for lane in self._importers if lane and not self._is_used(lane)]:
            del self._importers[lane]  # of a replay whose batches are in their table
            self._importing.pop(lane, None)
        for lane in {lane_of(record.revision) for record in self._records.values()}:
            task = self._importing.get(lane)
            if (task is None or task.done()) and self._next(lane) is not None:
                self._importing[lane] = self._tasks.create_task(self._import_all(lane), name=f"import {self._name}")

    def retry(self, retries: Sequence[BatchRetry]) -> None:
        """Take up, one after the other, what was asked of batches that wait for a person; the importer looks itself for
        those of the batch that it has.
        """
        if not retries or not self._waiting or (self._retrying is not None and not self._retrying.done()):
            return
        asked = ((record, asked_for(record, retries)) for record in self._waiting.values())
        found = next(((record, retry) for record, retry in asked if retry is not None), None)
        if found is not None:
            self._retrying = self._tasks.create_task(self._retry(*found), name=f"retry {self._name}")

    async def _retry(self, record: BatchRecord, retry: BatchRetry) -> None:
        await self._importer(lane_of(record.revision)).take_up(record, retry, self.keep)
        del self._waiting[record.batch_id]

    def forget_before(self, finished_ms: int) -> None:
        """Take imported batches older than this out of the ledger, or it would grow for ever."""
        if self._forgetting is not None and not self._forgetting.done():
            return
        old = []
        while self._finished and self._finished[0][0] < finished_ms:
            old.append(self._finished.popleft()[1])
        if old:
            records = self._ledger.forget(self._uid, old, state=False)
            self._forgetting = self._tasks.create_task(self._ledger.write(records), name=f"forget {self._name}")

    def _is_used(self, lane: int) -> bool:
        task = self._importing.get(lane)
        records = (*self._records.values(), *self._waiting.values())
        return (task is not None and not task.done()) or any(lane_of(record.revision) == lane for record in records)

    def _importer(self, lane: int) -> Importer:
        if lane not in self._importers:
            self._importers[lane] = self._make_importer()
        return self._importers[lane]

    async def _import_all(self, lane: int) -> None:
        while (record := self._next(lane)) is not None:
            facts: Attributes = {
                "streams.export": self._name,
                "streams.batch": record.batch_id,
                "streams.rows": record.count,
            }
            importing = self._importer(lane).import_batch(record, self.keep)
            finished = await traced("sink.import", importing, facts)
            del self._records[finished.batch_id]
            if finished.finished_ms is not None:
                self._finished.append((finished.finished_ms, finished.batch_id))
            else:
                self._waiting[finished.batch_id] = finished

    def _next(self, lane: int) -> BatchRecord | None:
        """The batch of the lane whose turn it is: none of a revision while an earlier one's window for the same table
        is open (rule 17).
        """
        records = [record for record in self._records.values() if lane_of(record.revision) == lane]
        for record in in_order(records):
            if record.phase is not Phase.OPEN:
                return record
            if any(other.table_id == record.table_id for other in records if other.revision > record.revision):
                return None
        return None
