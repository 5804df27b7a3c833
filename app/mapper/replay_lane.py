"""One partition of one replay: read a block, map it, deliver it, write down how far that is; until the range is done.

What any mapper emits for the lane goes on from, or repeats a prefix of, what was delivered before (delivery protocol,
rules 1 to 3 and 21): a block is committed when all its envelopes are delivered, and the next begins where it ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

from app.kafka.codec import rows_codec
from app.kafka.events import to_batch
from app.kafka.names import Names
from app.kafka.producer import AsyncProducer, ProducerBroken
from app.kafka.ranges import RangeBlock, RangeReader
from app.kafka.requeue import Criteria, events_of, wanted_letters
from app.mapper import metrics
from app.mapper.delivery import deliver
from app.mapper.envelopes import to_envelopes
from app.mapper.letters import Piece, find_event, lost_event, pieces
from app.mapper.mapper import Pool
from app.mapper.topic_ids import TopicIds
from app.model.errors import KafkaUnavailable
from app.model.event import EventBatch, Segment
from app.model.receiver import ColumnType, Export
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.model.rows import Rows, Source
from app.settings import Settings

_log = logging.getLogger(__name__)
_LOOK_AGAIN_SECONDS = 1.0


class ReplayLane:
    """`run` returns when all before the range's end is delivered; it may be cancelled at any time.

    `replays` are all of the export, this one among them. `turn` is held while a block is in memory, so that all lanes
    of a process together hold as many as it lets.
    """

    def __init__(
        self,
        settings: Settings,
        producer: AsyncProducer,
        pool: Pool,
        topic_ids: TopicIds,
        turn: asyncio.Semaphore,
        export: Export,
        replay: Replay,
        part: OffsetRange,
        replays: Collection[Replay],
    ) -> None:
        self._settings, self._producer, self._pool, self._topic_ids = settings, producer, pool, topic_ids
        self._turn, self._export, self._replay, self._part = turn, export, replay, part
        self._names = Names(settings.topic_prefix)
        self._source = Source(replay.topic_id, part.partition, replay.lane)
        self._criteria = Criteria.of(replay, replays)

    async def run(self) -> None:
        """Raises ProducerBroken."""
        while True:
            part, group = self._part, self._names.replay_group(self._replay.lane)
            reader = RangeReader(self._settings, self._replay.topic, part.partition, part.end, group)
            try:
                await self._run(reader)
                return
            except ProducerBroken:
                raise
            except KafkaUnavailable as trouble:
                _log.warning("replay %s waits: %s", self._replay.lane, trouble)
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            finally:
                reader.close()

    async def _run(self, reader: RangeReader) -> None:
        position = max(self._part.first, await reader.committed() or 0)
        while position < self._part.end:
            async with self._turn:
                block = await self._read(reader, position)
                if block.next_offset > position:
                    await self._deliver(position, block)
                    await reader.commit(block.next_offset)
            if block.next_offset == position:
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            position = block.next_offset

    async def _read(self, reader: RangeReader, position: int) -> RangeBlock:
        """The next block of the topic with the replay's id. One that was made anew has none of its events."""
        before = await self._topic_ids.of(self._replay.topic)
        block = await reader.read(position, self._settings.chunk_events)
        after = await self._topic_ids.of(self._replay.topic)
        if before == after == self._replay.topic_id:
            return block
        if after in (None, self._replay.topic_id):
            return RangeBlock((), position)  # not there now; looked at again
        _log.error("replay %s: topic %s is another one now, its events are gone", self._replay.lane, self._replay.topic)
        return RangeBlock((), self._part.end)

    async def _deliver(self, base: int, block: RangeBlock) -> None:
        if self._replay.kind is ReplayKind.REQUEUE:
            letters = wanted_letters(block.records, self._criteria)
            for piece in pieces(letters, base, block.next_offset):
                await self._deliver_piece(piece)
            return
        ids = any(column.type is ColumnType.ID for column in self._replay.revision.mapping.columns)
        batch = to_batch(block.records, self._source.topic_id, self._source.partition, ids=ids)
        await self._deliver_events(base, block.next_offset, batch)

    async def _deliver_piece(self, piece: Piece) -> None:
        if not piece.is_big:
            await self._deliver_events(piece.base, piece.end, events_of(piece.letters))
            return
        group = self._names.replay_group(self._replay.lane)
        batch = await find_event(self._settings, self._topic_ids, piece.letters[0], group)
        if batch is not None:
            await self._deliver_events(piece.base, piece.end, batch)
            return
        number = self._replay.revision.number
        await self._send([lost_event(self._export.uid, number, self._source, self._replay.topic, piece)])

    async def _deliver_events(self, base: int, end: int, batch: EventBatch) -> None:
        revision = self._replay.revision
        segments: list[Segment] = []
        if len(batch):
            key = f"{self._export.uid}/{revision.number}"
            (mapping,) = self._pool.map_each([(key, revision.mapping)], batch)
            segments = await asyncio.shield(mapping)
        envelopes = to_envelopes(
            self._export.uid,
            revision.number,
            self._source,
            self._replay.topic,
            base,
            end,
            segments,
            batch,
        )
        await self._send(envelopes)
        metrics.REPLAYED.inc(len(batch))

    async def _send(self, envelopes: Sequence[Rows]) -> None:
        encoded = [rows_codec.encode(envelope) for envelope in envelopes]
        await deliver(self._producer, self._names.rows, self._export.uid, self._export.rows_partition, encoded)
