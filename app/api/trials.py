"""Events mapped on trial, for validations and dry runs: what rows they make, or which columns are at fault.

Mapping runs in children of this process, because a template cannot be interrupted. They are started by the first
trial and ended when there is none for a while, so that a gateway at rest has no child. Their number, the requests
held and the time that one takes are bounded; rows are taken from a child one at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.api.bodies import Taken
from app.kafka.schemas import Schemas
from app.mapping.children import MappingPool
from app.model.event import EventBatch, Failure, Headers, Reason, Segment
from app.model.ids import new_event_id, new_uid
from app.model.receiver import ColumnType, Export, Mapping
from app.settings import Settings

MAX_SEARCHED_EVENTS = 10
"""Events of one export for which all columns at fault are looked for; of others the first is known."""
_LOOK_SECONDS = 1.0
R = TypeVar("R")


class Crowded(Exception):
    """As many trials as there may be are under way, or none of them ended in time."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """An event (its index in the request) that one export cannot map, and why: one failure for each column at fault,
    at least one.
    """

    export_id: str
    event: int
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What one mapping makes of an event: a row (as its reader left it), or failures, one for each column at fault;
    neither when the event is left out on purpose.
    """

    row: R | None = None
    failures: Sequence[Failure] = ()


class Trials:
    """Made and used on one event loop; `tend` runs beside in a task of its own."""

    def __init__(self, settings: Settings, schemas: Schemas | None = None) -> None:
        """Without `schemas` no body is decoded."""
        self._settings, self._schemas = settings, schemas or Schemas(None)
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
        """Hold a trial, from before its body is read. Raises Crowded when there are enough."""
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
        mappings = [(_key(export), export.revision.mapping) for export in exports]
        async with self._turn() as pool:
            async with asyncio.timeout(self._settings.synchronous_seconds):
                mapped = await pool.map(mappings, batch, rows=False)
            failed = [_failures(segments) for segments in mapped]
            more = await self._search(pool, list(zip(mappings, failed, strict=True)), batch)
        return [
            Misfit(export.export_id, failure.offset, more.get((_key(export), failure.offset), [failure]))
            for export, failures in zip(exports, failed, strict=True)
            for failure in failures
        ]

    async def outcomes(self, mapping: Mapping, batch: EventBatch, read: Callable[[bytes], R]) -> list[Outcome[R]]:
        """What the mapping, which need not be saved, makes of each event of a batch whose offsets are indexes.

        `read` is given the CSV of one row after the other and says what is kept of it. The batch is mapped as the
        mapper would map it, to see what fails; then the events that fit are mapped again one by one for their rows, so
        that no more than one row is held. Raises what `misfits` raises, and SchemasMissing.
        """
        if not len(batch):
            return []
        batch = await self._schemas.attach(batch)
        key = new_uid()  # what children were told of an earlier one does not matter
        found: dict[int, Outcome[R]] = {}
        async with self._turn() as pool:
            async with asyncio.timeout(self._settings.synchronous_seconds):
                (mapped,) = await pool.map([(key, mapping)], batch, rows=False)
                failures = _failures(mapped)
                for index in (offset for segment in mapped for offset in segment.offsets):
                    (alone,) = await pool.map([(key, mapping)], batch.part(index, index + 1))
                    csv = b"".join(segment.csv for segment in alone)
                    found[index] = Outcome(read(csv)) if csv else Outcome(failures=_failures(alone))
            more = await self._search(pool, [((key, mapping), failures)], batch)
        found |= {f.offset: Outcome(failures=more.get((key, f.offset), [f])) for f in failures}
        return [found.get(index, Outcome()) for index in range(len(batch))]

    async def counts(self, mapping: Mapping, batch: EventBatch) -> tuple[list[int], list[Failure]]:
        """Indexes of the events of a batch, whose offsets are indexes, that become rows, and a failure for each that
        does not; the others are left out on purpose. Raises what `outcomes` raises.
        """
        if not len(batch):
            return [], []
        batch = await self._schemas.attach(batch)
        async with self._turn() as pool, asyncio.timeout(self._settings.synchronous_seconds):
            (mapped,) = await pool.map([(new_uid(), mapping)], batch, rows=False)
        return [offset for segment in mapped for offset in segment.offsets], _failures(mapped)

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
        self, pool: MappingPool, found: Sequence[tuple[tuple[str, Mapping], list[Failure]]], batch: EventBatch
    ) -> dict[tuple[str, int], list[Failure]]:
        """All columns at fault, by key and event, where mapping ended at the first: each column is mapped alone.

        What is not found in the time that an export may take for a chunk is left out.
        """
        more: dict[tuple[str, int], list[Failure]] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.mapping_budget_seconds):
                for (key, mapping), failures in found:
                    columns = _columns(key, mapping)
                    by_column = [f.offset for f in failures if f.reason is Reason.TEMPLATE_ERROR and f.column]
                    indexes = by_column[:MAX_SEARCHED_EVENTS]
                    if not indexes or len(columns) < 2:
                        continue
                    for segments in await pool.map(columns, batch.pick(indexes), rows=False):
                        for failure in _failures(segments):
                            if failure.reason is not Reason.ROW_TOO_LARGE:
                                more.setdefault((key, failure.offset), []).append(failure)
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
                    engine=settings.jsonnet_engine,
                    failing_share=None,
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


def _columns(key: str, mapping: Mapping) -> list[tuple[str, Mapping]]:
    """Each column that may fail as a mapping of its own, without the filter."""
    return [
        (f"{key}/{number}", Mapping(mapping.table_id, (column,), mapping.incremental))
        for number, column in enumerate(mapping.columns)
        if column.type in (ColumnType.TEMPLATE, ColumnType.PATH)
    ]


def _failures(segments: Sequence[Segment]) -> list[Failure]:
    return [failure for segment in segments for failure in segment.failures]


def sample_batch(bodies: Sequence[bytes], fields: Headers, sender: str) -> EventBatch:
    """Events with these bodies as the mapper would read them from Kafka, had they come now; their indexes are their
    offsets.
    """
    return taken_batch(Taken(list(bodies), fields), sender)


def taken_batch(taken: Taken, sender: str) -> EventBatch:
    """The events of a request, in the same way."""
    count = len(taken.bodies)
    now_ms = time.time_ns() // 1_000_000
    ids = [new_event_id() for _ in taken.bodies] if taken.ids is None else list(taken.ids)
    headers = [taken.headers(index) for index in range(count)]
    return EventBatch(list(range(count)), [now_ms] * count, ids, [sender] * count, taken.bodies, headers)
