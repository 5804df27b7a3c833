"""The loop of the mapper: chunks in, lanes that map and deliver them, and their coming and going with partitions.

Which events an export takes is decided here, behind the read barrier, so that a finished task is in force for every
event that was accepted after it (delivery protocol, rule 6), and held while it is not known where a suspension
begins or ends (rule 22). A chunk counts only if its topic was the receiver's before and after the fetch (identity).
Order and repetition are the lanes'.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from typing import Protocol

from app.kafka.events import to_batch
from app.kafka.faust import Chunk, ChunkApp, Committed, Item, Partition
from app.kafka.names import Names
from app.kafka.producer import AsyncProducer
from app.kafka.schemas import Schemas, SchemasMissing
from app.kafka.view import ControlView
from app.mapper import metrics
from app.mapper.lane import Lane, Mapped, Outgoing
from app.mapper.outgoing import Parts, to_outgoing
from app.mapper.resting import RestReports
from app.mapper.targets import Target, exports_from, first_offset, is_settling, need_ids, targets, wanted_topics
from app.mapper.topic_ids import TopicIds
from app.model.errors import KafkaUnavailable
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import LIVE_LANE
from app.model.receiver import Mapping as TableMapping
from app.model.rows import Source
from app.observe.tracing import Attributes, traced
from app.settings import Settings

_log = logging.getLogger(__name__)
_CHUNKS_IN_FLIGHT = 4
_BYTES_IN_FLIGHT = 64 << 20
_EVENT_OVERHEAD_BYTES = 400
_REVOKE_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 1.0
_REFUSED_SECONDS = 60.0
"""How long Kafka counts as not taking envelopes after it refused one: twice what one may take to be refused again."""
_SETTLING_SECONDS = 0.02
"""How often it is looked whether the offsets are known at which an export is suspended."""


class Pool(Protocol):
    """What maps: `app.mapping.children.MappingPool`."""

    def map_each(
        self, exports: Sequence[tuple[str, TableMapping]], batch: EventBatch, owner: Hashable = None
    ) -> Sequence[asyncio.Future[list[Segment]]]:
        """Segments for each export ("<uid>/<revision>", mapping), covering the batch in order."""

    def keeps_waiting(self, owner: Hashable) -> bool:
        """Whether something of this owner waits for its turn, and the line moves."""


class Mapper:
    """One per process. Its callbacks are given to the ChunkApp by `app.mapper.process`."""

    def __init__(
        self,
        settings: Settings,
        app: ChunkApp,
        view: ControlView,
        producer: AsyncProducer,
        pool: Pool,
        topic_ids: TopicIds,
        resting: RestReports | None = None,
        schemas: Schemas | None = None,
    ) -> None:
        """Without `resting` no export is suspended by itself, without `schemas` no body is decoded."""
        self._resting, self._schemas = resting, schemas or Schemas(None)
        self._app, self._view, self._producer, self._pool, self._topic_ids = app, view, producer, pool, topic_ids
        self._rows_topic = Names(settings.topic_prefix).rows
        self._group: asyncio.TaskGroup
        self._lanes: dict[Partition, tuple[Lane, asyncio.Task[None]]] = {}
        self._waiting: dict[Partition, asyncio.Task[None]] = {}
        self._lacking: dict[Partition, Collection[int]] = {}
        """Ids of schemas without which a partition is mapped no further."""
        self._read_ids: dict[Partition, str | None] = {}
        self._chunks: Counter[Partition] = Counter()
        self._settling: Counter[Partition] = Counter()
        """Chunks that are held until control has found out where a suspension begins or ends."""
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def wanted_topics(self) -> Collection[str]:
        return wanted_topics(self._view.catalog)

    async def starts(self, committed: Mapping[Partition, Committed | None]) -> Mapping[Partition, int]:
        """Where reading begins: at the commit, if it is of the topic that has the name now, and of its receiver."""
        names = sorted({source.topic for source in committed})
        ids = dict(zip(names, await asyncio.gather(*map(self._topic_ids.of, names)), strict=True))
        found = {}
        for source, commit in committed.items():
            topic_id = ids[source.topic]
            is_known = topic_id is not None and self._view.catalog.topic_id(source.topic) == topic_id
            self._read_ids[source] = reading = self._view.catalog.reading_of(source.topic) if is_known else topic_id
            if commit is not None and commit.metadata == reading:
                found[source] = commit.offset
            elif is_known:
                found[source] = first_offset(self._view.catalog, source.topic, source.partition)
            else:
                found[source] = 0
        return found

    async def consume(self, items: AsyncIterator[Item]) -> None:
        """Give each chunk to its lane; wait while too much is in memory."""
        async with asyncio.TaskGroup() as self._group:
            async for chunk in items:
                if isinstance(chunk, Chunk) and chunk.source not in self._waiting:
                    self._take(chunk)
                    await self._room.wait()

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Drop what is queued, let what is in flight be delivered, for a moment."""
        for task in self._waiting.values():
            task.cancel()
        self._waiting.clear()
        await asyncio.gather(*map(self._close, partitions))
        self._lacking.clear()

    def rests(self, source: Partition) -> bool:
        """Whether nothing can be done about the partition: its topic is not what the control log says, the registry
        does not give its schemas, control has to say where a suspension begins or ends, its events wait in line for a
        child, or Kafka does not take envelopes. From any thread.
        """
        held = source in self._waiting or self._settling[source] > 0 or self._pool.keeps_waiting(source)
        return held or time.monotonic() - self._producer.refused_at < _REFUSED_SECONDS

    def _take(self, chunk: Chunk) -> None:
        """Map the chunk in a task of its own, and hold its partition back while enough of it is under way."""
        source = chunk.source
        if source not in self._lanes:
            lane = Lane(self._producer, self._rows_topic, self)
            self._lanes[source] = lane, self._group.create_task(lane.run(), name=f"lane {source}")
        self._chunks[source] += 1
        if self._chunks[source] >= _CHUNKS_IN_FLIGHT:
            self._app.hold_back([source])
        self._weigh(_weight(chunk))
        metrics.LOST.inc(chunk.lost)
        metrics.BYTES.inc(chunk.size_bytes)
        mapping = self._group.create_task(self._map(chunk, self._read_ids.get(source)), name=f"map {source}")
        self._lanes[source][0].take(chunk, mapping)

    async def _close(self, source: Partition) -> None:
        if source in self._lanes:
            lane, task = self._lanes.pop(source)
            await lane.close(_REVOKE_SECONDS)
            task.cancel()

    # What lanes tell

    def sent(self, outgoing: Outgoing) -> None:
        metrics.ROWS.inc(outgoing.rows)
        metrics.FILTERED.inc(outgoing.filtered)
        for reason, count in Counter(outgoing.failures).items():
            metrics.FAILURES.labels(reason).inc(count)
        if self._resting is not None and Reason.EXPORT_RESTING in outgoing.failures:
            export = self._resting.due(outgoing.export_uid)
            if export is not None:
                self._group.create_task(self._resting.report(export), name=f"suspend {export.uid}")

    def delivered(self, chunk: Chunk, reading: str) -> None:
        self._app.done(chunk.topic, chunk.partition, chunk.end, chunk.generation, reading)

    def released(self, chunk: Chunk) -> None:
        source = chunk.source
        self._chunks[source] -= 1
        if self._chunks[source] == _CHUNKS_IN_FLIGHT - 1 and source not in self._waiting:
            self._app.let_go([source])
        self._weigh(-_weight(chunk))

    def stale(self, chunk: Chunk) -> None:
        source = chunk.source
        if source not in self._lacking:
            metrics.STALE.inc()
        self._app.hold_back([source])
        self._waiting[source] = self._group.create_task(self._read_anew(source), name=f"wait {source}")

    async def _read_anew(self, source: Partition) -> None:
        """Wait until the topic is the one that its receiver names, then read it from where it begins."""
        await self._close(source)
        told = False
        while True:
            topic_id = await self._topic_ids.of(source.topic)
            expected = self._view.catalog.topic_id(source.topic)
            if expected is not None and expected == topic_id:
                break
            if not told and expected is None:
                _log.info("%s/%d is not mapped any more: its receiver has ended", *source)
            elif not told:
                _log.error(
                    "%s/%d is not mapped: Kafka's topic has the id %s, its receiver in the control log says %s",
                    *(source.topic, source.partition, topic_id, expected),
                )
            told = True
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        await self._until_schemas_are_there(source)
        await self._app.rewind([source])
        del self._waiting[source]
        self._app.let_go([source])

    async def _until_schemas_are_there(self, source: Partition) -> None:
        """Nothing of the partition is in memory meanwhile, so that it takes room from no other."""
        ids = self._lacking.get(source)
        if ids is None:
            return
        metrics.WITHOUT_SCHEMAS.inc()
        try:
            await self._schemas.until_found(ids)
        finally:
            metrics.WITHOUT_SCHEMAS.dec()
            self._lacking.pop(source, None)

    # Mapping

    async def _map(self, chunk: Chunk, read_id: str | None) -> Mapped | None:
        """What the chunk becomes for each export, or None when it is not of the receiver's topic, or cannot be mapped
        without schemas that the registry does not give now.

        `read_id` says of what topic, and for whom, the partition was read before the fetch (`Catalog.reading_of`);
        being the same now, it was the same all the time.
        """
        topic_id = await self._barrier(chunk.topic)
        catalog = self._view.catalog
        self._settling[chunk.source] += 1
        try:
            while is_settling(exports_from(catalog, chunk.topic)):
                await asyncio.sleep(_SETTLING_SECONDS)
                topic_id = await self._barrier(chunk.topic)
        finally:
            self._settling[chunk.source] -= 1
        if topic_id is None or topic_id != catalog.topic_id(chunk.topic) or catalog.reading_of(chunk.topic) != read_id:
            return None
        found = targets(topic_id, exports_from(catalog, chunk.topic), chunk.partition, chunk.base, chunk.end)
        batch = to_batch(chunk.records, topic_id, chunk.partition, ids=need_ids(found))
        if found:
            try:
                batch = await self._schemas.attach(batch)
            except SchemasMissing as trouble:
                _log.warning("%s/%d waits for the schema registry: %s", *chunk.source, trouble)
                self._lacking[chunk.source] = trouble.ids
                return None
        metrics.EVENTS.inc(len(batch))
        metrics.TOMBSTONES.inc(len(chunk.records) - len(batch))
        if not found:
            metrics.UNMAPPED.inc(len(batch))
        source = Source(topic_id, chunk.partition, LIVE_LANE)
        exports = {}
        for target, parts in self._parts(batch, found, chunk.source):
            facts: Attributes = {
                "messaging.destination.name": chunk.topic,
                "streams.partition": chunk.partition,
                "streams.base": chunk.base,
                "streams.events": sum(len(part) for part, _ in parts),
                "streams.export": target.export.export_id,
            }
            outgoing = traced("mapper.chunk", to_outgoing(target, batch, parts, source, chunk), facts, chunk.records)
            exports[target.export.uid] = self._group.create_task(outgoing, name=f"map {target.export.uid}")
        return Mapped(read_id or topic_id, exports)

    async def _barrier(self, topic: str) -> str | None:
        """The topic's id, once the catalog has all that was in the control log when the chunk was here."""
        asked = asyncio.ensure_future(self._topic_ids.of(topic))
        try:
            while True:
                try:
                    await self._view.caught_up()
                    return await asked
                except KafkaUnavailable as error:
                    _log.warning("mapping waits: %s", error)
        finally:
            asked.cancel()

    def _parts(self, batch: EventBatch, found: Sequence[Target], source: Partition) -> list[tuple[Target, Parts]]:
        """For each target the events that it takes, and what they become. Exports that take the same go together."""
        together: dict[tuple[tuple[int, int], ...], list[Target]] = defaultdict(list)
        for target in found:
            together[target.parts(batch.offsets)].append(target)
        results: list[tuple[Target, Parts]] = []
        for places, members in together.items():
            exports = [(f"{m.export.uid}/{m.export.revision.number}", m.export.revision.mapping) for m in members]
            parts = [batch if place == (0, len(batch)) else batch.part(*place) for place in places]
            mapped = [self._pool.map_each(exports, part, source) for part in parts]
            for number, member in enumerate(members):
                results.append((member, [(part, one[number]) for part, one in zip(parts, mapped, strict=True)]))
        return results

    def _weigh(self, weight: int) -> None:
        self._bytes += weight
        metrics.IN_FLIGHT.set(self._bytes)
        if self._bytes < _BYTES_IN_FLIGHT:
            self._room.set()
        else:
            self._room.clear()


def _weight(chunk: Chunk) -> int:
    """Bytes of memory that a chunk takes, roughly."""
    return chunk.size_bytes + _EVENT_OVERHEAD_BYTES * len(chunk.records)
