"""Events mapped on trial, for validations: which exports cannot map them, and by which columns.

Mapping runs in children of the gateway, because a template cannot be interrupted. They are started by the first
validation and ended when nobody validates for a while, so that a gateway at rest has none. Their number, the requests
held and the time that one takes are bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

from app.gateway.verdict import Misfit
from app.mapping.children import MappingPool
from app.model.event import EventBatch, Failure, Reason, Segment
from app.model.receiver import ColumnType, Export, Mapping
from app.settings import Settings

MAX_SEARCHED_EVENTS = 10
"""Events of one export for which all columns at fault are looked for; of others the first is known."""
_LOOK_SECONDS = 1.0


class Crowded(Exception):
    """As many validations as there may be are under way, or none of them ended in time."""


class Trials:
    """Made and used on one event loop; `tend` runs beside in a task of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: MappingPool | None = None
        self._starting = asyncio.Lock()
        self._turns = asyncio.Semaphore(settings.validation_children)
        self._held = self._running = 0
        self._used_at = time.monotonic()

    @property
    def pids(self) -> list[int]:
        """Process ids of the children that run."""
        return self._pool.pids if self._pool is not None else []

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a validation, from before its body is read. Raises Crowded when there are enough."""
        if self._held >= self._settings.max_validations:
            raise Crowded
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    async def misfits(self, exports: Sequence[Export], batch: EventBatch) -> list[Misfit]:
        """What of this batch, whose offsets are indexes, the exports cannot map; by export, then by event.

        Raises Crowded, TimeoutError when mapping takes too long, and ChildGone or PoolClosed when there is no child.
        """
        if not exports or not len(batch):
            return []
        async with self._turn() as pool:
            async with asyncio.timeout(self._settings.synchronous_seconds):
                mapped = await pool.map([(_key(export), export.revision.mapping) for export in exports], batch)
            found = [
                (export, failures)
                for export, segments in zip(exports, mapped, strict=True)
                if (failures := _failures(segments))
            ]
            more = await self._search(pool, found, batch)
        return [
            Misfit(export.export_id, failure.offset, more.get((export.uid, failure.offset), [failure]))
            for export, failures in found
            for failure in failures
        ]

    async def tend(self) -> None:
        """End children that are not used; in a task of its own, whose cancellation ends them all."""
        try:
            while True:
                await asyncio.sleep(min(_LOOK_SECONDS, self._settings.validation_idle_seconds))
                idle = time.monotonic() - self._used_at
                if not self._running and idle > self._settings.validation_idle_seconds:
                    await self._end()
        finally:
            await self._end()

    async def _search(
        self, pool: MappingPool, found: Sequence[tuple[Export, list[Failure]]], batch: EventBatch
    ) -> dict[tuple[str, int], list[Failure]]:
        """All columns at fault, by export and event, where mapping ended at the first: each column is mapped alone.

        What is not found in the time that an export may take for a chunk is left out.
        """
        more: dict[tuple[str, int], list[Failure]] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.mapping_budget_seconds):
                for export, failures in found:
                    columns = _columns(export)
                    of_columns = (f for f in failures if f.reason is Reason.TEMPLATE_ERROR and f.column is not None)
                    indexes = [failure.offset for failure in of_columns][:MAX_SEARCHED_EVENTS]
                    if not indexes or len(columns) < 2:
                        continue
                    for segments in await pool.map(columns, batch.pick(indexes)):
                        for failure in _failures(segments):
                            if failure.reason is not Reason.ROW_TOO_LARGE:
                                more.setdefault((export.uid, failure.offset), []).append(failure)
        return more

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[MappingPool]:
        """Wait for a child to be free. Raises Crowded when that takes too long."""
        try:
            async with asyncio.timeout(self._settings.synchronous_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise Crowded from None
        self._running += 1
        try:
            yield await self._started()
        finally:
            self._running -= 1
            self._used_at = time.monotonic()
            self._turns.release()

    async def _started(self) -> MappingPool:
        async with self._starting:
            if self._pool is None:
                settings = self._settings
                pool = MappingPool(
                    settings.validation_children,
                    memory_mib=settings.mapping_memory_mib,
                    budget_seconds=settings.mapping_budget_seconds,
                    event_seconds=settings.mapping_event_seconds,
                    rows=False,
                )
                try:
                    await pool.start()
                except asyncio.CancelledError:
                    await pool.close()
                    raise
                self._pool = pool
            return self._pool

    async def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()


def _key(export: Export) -> str:
    return f"{export.uid}/{export.revision.number}"


def _columns(export: Export) -> list[tuple[str, Mapping]]:
    """Each column that may fail as a mapping of its own, without the export's filter."""
    mapping = export.revision.mapping
    return [
        (f"{_key(export)}/{number}", Mapping(mapping.table_id, (column,), mapping.incremental))
        for number, column in enumerate(mapping.columns)
        if column.type in (ColumnType.TEMPLATE, ColumnType.PATH)
    ]


def _failures(segments: Sequence[Segment]) -> list[Failure]:
    return [failure for segment in segments for failure in segment.failures]
