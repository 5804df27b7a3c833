"""The replays that this mapper runs: those of the partitions that it owns, as the control log names them now.

Whoever owns a partition of a receiver's topic also runs the lanes of replays there. A few lanes read at a time, and one
block of all together is in memory, so that replays go gently beside the events that arrive (delivery protocol, rule
21). A topic that is gone is owned by nobody: then every mapper runs the lane, which does no harm, since what the others
send is a repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import NamedTuple

from app.kafka.faust import Partition
from app.kafka.producer import AsyncProducer
from app.kafka.schemas import Schemas
from app.kafka.view import ControlView
from app.mapper.mapper import Pool
from app.mapper.replay_lane import ReplayLane
from app.mapper.topic_ids import TopicIds
from app.mapper.turns import Turns
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.settings import Settings

_GONE_SECONDS = 5.0
"""How often it is looked whether topics of replays are gone."""
_log = logging.getLogger(__name__)


class LanePart(NamedTuple):
    """One partition of a replay's source."""

    lane: str
    partition: int
    is_cancelled: bool = False
    """One that is under way gives place to one that leaves out the rest."""
    topic: str | None = None
    """Of a replay of several."""


def wanted_lanes(
    catalog: Catalog, owned: Collection[Partition], gone: Collection[tuple[str, str]] = ()
) -> dict[LanePart, tuple[Replay, OffsetRange]]:
    """What this process has to run when it owns these partitions, and these topics of receivers (name, id) are gone;
    the oldest first. Pure.
    """
    return {
        LanePart(replay.lane, part.partition, replay.is_cancelled, part.topic): (replay, part)
        for replay in sorted(catalog.running_replays(), key=lambda replay: (replay.created_ms, replay.lane))
        if replay.export_uid in catalog.exports_by_uid
        for part in replay.ranges
        if part.count and (_runs_at(replay, part) in owned or _receiver_topic(catalog, replay, part) in gone)
    }


def receiver_topics(catalog: Catalog, owned: Collection[Partition]) -> set[tuple[str, str]]:
    """The topics (name, id) of receivers whose lanes others run, if anybody does. Pure."""
    return {
        _receiver_topic(catalog, replay, part)
        for replay in catalog.running_replays()
        for part in replay.ranges
        if part.count and _runs_at(replay, part) not in owned
    }


def _receiver_topic(catalog: Catalog, replay: Replay, part: OffsetRange) -> tuple[str, str]:
    """Name and id of the topic whose owner runs it."""
    if replay.kind is ReplayKind.REQUEUE:
        return replay.receiver_topic, catalog.topic_id(replay.receiver_topic) or ""
    return part.topic or replay.receiver_topic, replay.topic_of(part)[1]


def _runs_at(replay: Replay, part: OffsetRange) -> Partition:
    """The partition whose owner runs it: the same one, and of another topic's the first."""
    if replay.kind is ReplayKind.REQUEUE:
        return Partition(replay.receiver_topic, 0)
    return Partition(part.topic or replay.receiver_topic, part.partition)


class Replays:
    """`run` it beside the mapper; tell it what comes and goes."""

    def __init__(
        self,
        settings: Settings,
        view: ControlView,
        producer: AsyncProducer,
        pool: Pool,
        topic_ids: TopicIds,
        schemas: Schemas | None = None,
    ) -> None:
        self._schemas = schemas or Schemas(None)
        self._settings, self._view, self._producer = settings, view, producer
        self._pool, self._topic_ids = pool, topic_ids
        self._turns = Turns(settings.replay_readers)
        self._gone: frozenset[tuple[str, str]] = frozenset()
        self._owned: frozenset[Partition] = frozenset()
        self._lanes: dict[LanePart, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        view.listen(lambda key, value: self._changed.set())

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """These are owned now."""
        self._owned = frozenset(partitions)
        self._changed.set()

    async def revoked(self, _partitions: Collection[Partition]) -> None:
        """None is owned any more. What is in flight may still land: it is a repeat, or the next envelope."""
        self._owned = frozenset()
        lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    async def run(self) -> None:
        """Until cancelled. A lane that is done stays until its replay has ended, so that it is not begun again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_topics(), name="replays-topics")
            while True:
                await self._changed.wait()
                self._changed.clear()
                wanted = wanted_lanes(self._view.catalog, self._owned, self._gone)
                for key in [key for key in self._lanes if key not in wanted]:
                    self._lanes.pop(key).cancel()
                for key in [key for key in wanted if key not in self._lanes]:
                    self._lanes[key] = group.create_task(self._lane(*wanted[key]).run(), name=f"replay {key}")

    async def _watch_topics(self) -> None:
        while True:
            await asyncio.sleep(_GONE_SECONDS)
            await self.look_for_gone()

    async def look_for_gone(self) -> None:
        """Find out which topics of receivers with replays are gone."""
        gone = set()
        for topic, topic_id in sorted(receiver_topics(self._view.catalog, self._owned)):
            try:
                if await self._topic_ids.is_gone(topic, topic_id):
                    gone.add((topic, topic_id))
            except KafkaUnavailable as trouble:
                _log.warning("replays of topic %s wait: %s", topic, trouble)
        if gone != self._gone:
            self._gone = frozenset(gone)
            self._changed.set()

    def _lane(self, replay: Replay, part: OffsetRange) -> ReplayLane:
        export = self._view.catalog.exports_by_uid[replay.export_uid]
        replays = self._view.catalog.replays_of(export.uid)
        return ReplayLane(
            self._settings,
            self._producer,
            self._pool,
            self._topic_ids,
            self._turns,
            export,
            replay,
            part,
            replays,
            self._schemas,
        )
