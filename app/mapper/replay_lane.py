"""One partition of one replay: read a block, map it, deliver it, write down how far that is; until the range is done.

What any mapper emits for the lane goes on from, or repeats a prefix of, what was delivered before (delivery protocol,
rules 1 to 3 and 21): a block is committed when all its envelopes are delivered, and the next begins where it ended.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence

from app.kafka.codec import rows_codec
from app.kafka.events import to_batch
from app.kafka.names import Names
from app.kafka.producer import AsyncProducer, ProducerBroken
from app.kafka.ranges import RangeBlock, RangeReader
from app.kafka.requeue import Criteria, events_of, wanted_letters
from app.kafka.schemas import Schemas
from app.mapper import metrics
from app.mapper.delivery import deliver
from app.mapper.envelopes import to_envelopes
from app.mapper.letters import Piece, find_event, lost_event, pieces
from app.mapper.mapper import Pool
from app.mapper.topic_ids import TopicIds
from app.mapper.turns import Turns
from app.model.errors import KafkaUnavailable, RegistryUnavailable
from app.model.event import EventBatch, Segment
from app.model.receiver import ColumnType, Export
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.model.rows import Rows, Source
from app.settings import Settings

_log = logging.getLogger(__name__)
FIRST_PAUSE_SECONDS = 1.0
LAST_PAUSE_SECONDS = 60.0
SEAT_SECONDS = 30.0
"""How long a lane reads while others wait for their turn."""
_LOOK_AGAIN_SECONDS = 1.0
_MOST_IDLE = 5
"""Looks in a row without anything new, after which it is asked whether the topic is gone."""


class ReplayLane:
    """`run` returns when all before the range's end is delivered; it may be cancelled at any time.

    `replays` are all of the export, this one among them. `turns` says when the lane may read.
    """

    def __init__(
        self,
        settings: Settings,
        producer: AsyncProducer,
        pool: Pool,
        topic_ids: TopicIds,
        turns: Turns,
        export: Export,
        replay: Replay,
        part: OffsetRange,
        replays: Collection[Replay],
        schemas: Schemas | None = None,
    ) -> None:
        self._schemas = schemas or Schemas(None)
        self._settings, self._producer, self._pool, self._topic_ids = settings, producer, pool, topic_ids
        self._turns, self._export, self._replay, self._part, self._replays = turns, export, replay, part, replays
        self._names = Names(settings.topic_prefix)
        self._topic, topic_id = replay.topic_of(part)
        self._source = Source(topic_id, part.partition, replay.lane)
        self._moved = False
        """Whether anything was delivered since the last failure."""

    async def run(self) -> None:
        """Whatever goes wrong is tried again, with longer and longer pauses: a replay must not end the process that
        maps events as they arrive. Raises ProducerBroken alone, with which nothing can be mapped.
        """
        lane, pause = self._replay.lane, FIRST_PAUSE_SECONDS
        while True:
            try:
                why = await self._why_not()
                if why is not None:
                    await self._leave_out(why)
                    return
                async with self._turns.seat():
                    if await self._read_on():
                        return
                continue
            except ProducerBroken:
                raise
            except (KafkaUnavailable, RegistryUnavailable) as trouble:
                _log.warning("replay %s waits: %s", lane, trouble)
            except Exception:
                metrics.REPLAY_FAILURES.inc()
                _log.exception("replay %s failed in partition %d and is tried again", lane, self._part.partition)
            pause = FIRST_PAUSE_SECONDS if self._moved else min(2 * pause, LAST_PAUSE_SECONDS)
            self._moved = False
            await asyncio.sleep(pause)

    async def _read_on(self) -> bool:
        """From where the lane is until its end (True), until others have waited for long enough, or until it looks as
        if nothing came any more.
        """
        part = self._part
        group = self._names.replay_group(self._replay.lane)
        reader = RangeReader(self._settings, self._topic, part.partition, part.end, group)
        metrics.REPLAY_READERS.inc()
        until, idle = time.monotonic() + SEAT_SECONDS, 0
        try:
            position = max(part.first, await reader.committed() or 0)
            while position < part.end:
                async with self._turns.block:
                    block = await self._read(reader, position)
                    if block.next_offset > position:
                        await self._deliver(position, block)
                        await reader.commit(block.next_offset)
                        self._moved = True
                if block.next_offset == position:
                    idle += 1
                    if idle == _MOST_IDLE:
                        return False
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
                    continue
                position, idle = block.next_offset, 0
                if self._turns.waiting and time.monotonic() > until:
                    break
            return position >= part.end
        finally:
            metrics.REPLAY_READERS.dec()
            reader.close()

    async def _read(self, reader: RangeReader, position: int) -> RangeBlock:
        """The next block of the topic with the replay's id; nothing while its name stands for no topic or another."""
        before = await self._topic_ids.of(self._topic)
        block = await reader.read(position, self._settings.chunk_events)
        after = await self._topic_ids.of(self._topic)
        return block if before == after == self._source.topic_id else RangeBlock((), position)

    async def _why_not(self) -> str | None:
        """Why no more is to be mapped, if there is a reason. Raises KafkaUnavailable."""
        if self._replay.is_cancelled:
            return "it was cancelled"
        gone = await self._topic_ids.is_gone(self._topic, self._source.topic_id)
        return f"topic {self._topic} is gone" if gone else None

    async def _leave_out(self, why: str) -> None:
        """Say of all that was not delivered before that nothing becomes of it.

        From the beginning: the sink takes of it what lies behind its mark (rule 2). How far this lane was may be gone
        with the topic, and an envelope of its earlier life may still be on its way: it comes before or is a repeat.
        """
        part = self._part
        _log.warning(
            "replay %s: %s; what of partition %d was not mapped before is left out",
            *(self._replay.lane, why, part.partition),
        )
        await self._deliver_events(part.first, part.end, EventBatch([], [], [], [], [], []))

    async def _deliver(self, base: int, block: RangeBlock) -> None:
        if self._replay.kind is ReplayKind.REQUEUE:
            letters = wanted_letters(block.records, Criteria.of(self._replay, self._replays))
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
        await self._send([lost_event(self._export.uid, number, self._source, self._topic, piece)])

    async def _deliver_events(self, base: int, end: int, batch: EventBatch) -> None:
        revision = self._replay.revision
        segments: list[Segment] = []
        if len(batch):
            batch = await self._schemas.attach(batch)
            key = f"{self._export.uid}/{revision.number}"
            (mapping,) = self._pool.map_each([(key, revision.mapping)], batch)
            segments = await asyncio.shield(mapping)
        envelopes = to_envelopes(
            self._export.uid,
            revision.number,
            self._source,
            self._topic,
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
