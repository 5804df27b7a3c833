"""The schemas by which the bodies of a batch are to be read: looked up, remembered by id within a bound of bytes.

A batch gets all that it needs, or the caller is told within a bounded time that it has to wait (docs/decisions/012). An
id that the registry does not know is believed only after several looks over some seconds, because a registry of several
nodes knows a new schema on one of them first; and it is asked for again later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from app.kafka.registry import Registry
from app.model.errors import RegistryUnavailable
from app.model.event import EventBatch
from app.model.schema import NOT_FRAMED, NoSchema, Schema, schema_ids
from app.settings import Settings

LOOKS = 3
"""After so many looks that do not find an id it is believed that there is no such schema."""
_LOOK_AGAIN_SECONDS = 1.0
_UNKNOWN_SECONDS = 60.0
"""How long an id counts as unknown before it is looked for once more."""
_FIRST_PAUSE_SECONDS = 0.5
_LAST_PAUSE_SECONDS = 5.0
_ANSWER_SHARE = 0.8
"""Of the time that mapping waits: who waited longest is told why."""
_IN_PARALLEL = 8
_ENTRY_BYTES = 500
"""What a remembered id takes beside its schema, roughly."""
_log = logging.getLogger(__name__)


class Source(Protocol):
    """Where schemas come from: `app.kafka.registry.Registry`."""

    async def fetch(self, schema_id: int) -> Schema | NoSchema:
        """Raises RegistryUnavailable."""


class SchemasMissing(RegistryUnavailable):
    """The schemas with these ids could not be had in time; whether there are such is not known."""

    def __init__(self, message: str, ids: Collection[int]) -> None:
        super().__init__(message)
        self.ids = ids


@dataclass(slots=True)
class _Entry:
    found: Schema | NoSchema
    looks: int
    looked_at: float

    def is_settled(self, now: float) -> bool:
        if isinstance(self.found, Schema):
            return True
        return self.looks >= LOOKS and now - self.looked_at < _UNKNOWN_SECONDS

    @property
    def bytes(self) -> int:
        return _ENTRY_BYTES + (sum(map(len, self.found.parts)) if isinstance(self.found, Schema) else 0)


class Schemas:
    """Without a source every body is as it is. Used on one event loop."""

    def __init__(self, source: Source | None, *, cache_bytes: int = 32 << 20, patience_seconds: float = 5.0) -> None:
        self._source, self._cache_bytes, self._patience = source, cache_bytes, patience_seconds
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._bytes = 0
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._seats = asyncio.Semaphore(_IN_PARALLEL)
        self._down_until = 0.0
        self._pause = 0.0
        self._trouble = ""

    async def attach(self, batch: EventBatch) -> EventBatch:
        """The batch with the schemas that its bodies need. Raises SchemasMissing, at once while the registry is away,
        else after some seconds at most.
        """
        if self._source is None:
            return batch
        ids = schema_ids(batch.bodies, batch.ips, batch.headers)
        if not ids:
            return batch
        return replace(batch, schema_ids=ids, schemas=await self.find({*ids} - {NOT_FRAMED}))

    async def find(self, ids: Collection[int]) -> Mapping[int, Schema | NoSchema]:
        """What is to be had for each of these ids. Raises SchemasMissing.

        While the registry is in trouble nobody waits here, so that mapping as a whole waits once at most: it is asked
        in the background, and who asks again later is told what came of it.
        """
        found: dict[int, Schema | NoSchema] = {}
        self._take_settled(ids, found)
        if len(found) == len(ids):
            return found
        if self._pause:
            self._look_in_background([one for one in ids if one not in found])
            raise SchemasMissing(self._trouble, ids)
        try:
            async with asyncio.timeout(self._patience):
                await self._look_until_settled(ids, found)
        except TimeoutError:
            message = f"The schema registry did not give all schemas within {self._patience:g} s."
            raise SchemasMissing(message, ids) from None
        except RegistryUnavailable as trouble:
            raise SchemasMissing(trouble.message, ids) from trouble
        return found

    async def until_found(self, ids: Collection[int]) -> None:
        """Return when `find` would find these, however long that takes."""
        told = ""
        while True:
            try:
                await self.find(ids)
                return
            except SchemasMissing as trouble:
                if trouble.message != told:
                    told = trouble.message
                    _log.warning("mapping waits for %d schemas: %s", len(ids), told)
                await asyncio.sleep(max(_FIRST_PAUSE_SECONDS, self._down_until - time.monotonic()))

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_until_settled(self, ids: Collection[int], found: dict[int, Schema | NoSchema]) -> None:
        while left := [one for one in ids if one not in found]:
            now = time.monotonic()
            due = [one for one in left if self._is_due(one, now)]
            await asyncio.gather(*(asyncio.shield(self._look(one)) for one in due))
            self._take_settled(left, found)
            if len(found) < len(ids):
                await asyncio.sleep(_LOOK_AGAIN_SECONDS / 4)

    def _look_in_background(self, ids: Collection[int]) -> None:
        now = time.monotonic()
        if now >= self._down_until:
            for one in filter(lambda one: self._is_due(one, now), ids):
                self._look(one)

    def _take_settled(self, ids: Collection[int], found: dict[int, Schema | NoSchema]) -> None:
        now = time.monotonic()
        for one in ids:
            entry = self._entries.get(one)
            if entry is not None and entry.is_settled(now):
                self._entries.move_to_end(one)
                found[one] = entry.found

    def _is_due(self, schema_id: int, now: float) -> bool:
        entry = self._entries.get(schema_id)
        return entry is None or now - entry.looked_at >= _LOOK_AGAIN_SECONDS

    def _look(self, schema_id: int) -> asyncio.Task[None]:
        """One question at a time about each id, for all who want to know. Its task raises RegistryUnavailable."""
        task = self._asking.get(schema_id)
        if task is None:
            task = self._asking[schema_id] = asyncio.create_task(self._ask(schema_id), name=f"schema {schema_id}")
            task.add_done_callback(lambda done: self._asked(schema_id, done))
        return task

    def _asked(self, schema_id: int, task: asyncio.Task[None]) -> None:
        del self._asking[schema_id]
        if not task.cancelled():
            task.exception()  # who waits is told; where nobody does any more, nothing is wrong

    async def _ask(self, schema_id: int) -> None:
        assert self._source is not None
        async with self._seats:
            if time.monotonic() < self._down_until:
                raise RegistryUnavailable(self._trouble)
            try:
                async with asyncio.timeout(_ANSWER_SHARE * self._patience):
                    found = await self._source.fetch(schema_id)
            except TimeoutError:
                self._went_wrong(f"The schema registry does not answer within {_ANSWER_SHARE * self._patience:g} s.")
                raise RegistryUnavailable(self._trouble) from None
            except RegistryUnavailable as trouble:
                self._went_wrong(trouble.message)
                raise
            self._pause = self._down_until = 0.0
            self._remember(schema_id, found)

    def _went_wrong(self, trouble: str) -> None:
        now = time.monotonic()
        if now >= self._down_until:
            self._pause = min(max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LAST_PAUSE_SECONDS)
            self._down_until, self._trouble = now + self._pause, trouble

    def _remember(self, schema_id: int, found: Schema | NoSchema) -> None:
        before = self._entries.pop(schema_id, None)
        self._bytes -= 0 if before is None else before.bytes
        looks = 1 if before is None or isinstance(found, Schema) else before.looks + 1
        entry = self._entries[schema_id] = _Entry(found, looks, time.monotonic())
        self._bytes += entry.bytes
        while self._bytes > self._cache_bytes and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.bytes


@asynccontextmanager
async def open_schemas(settings: Settings) -> AsyncIterator[Schemas]:
    """Those of the registry that the settings name, if they name one. Raises ConfigurationError."""
    if settings.schema_registry_url is None:
        yield Schemas(None)
        return
    registry = Registry(settings)
    schemas = Schemas(
        registry,
        cache_bytes=settings.schema_cache_bytes,
        patience_seconds=settings.schema_registry_seconds,
    )
    try:
        yield schemas
    finally:
        await schemas.close()
        await registry.close()
