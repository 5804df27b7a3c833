"""Topics that appear later and that a receiver's pattern means: it is bound to them, and they are read from their first
record. Those that are gone for good it is bound to no longer, so that topics may come and go; nor is a deleted receiver
of which something is drained, so that its exports end.

Not while a task of the receiver is under way that asks where an export begins, ends or is suspended: the topics
must not change meanwhile. A topic belongs to who has it first (`app.control.binding`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from app.api.limits import Limits
from app.api.sources import is_free, meant_topics
from app.control.claims import lost_claims, new_claims
from app.control.log import ControlLog, Interrupted
from app.control.records import control_records
from app.control.run import Surroundings, now_ms
from app.control.topics import ends_or_gone, topic_names
from app.kafka.plan import describe_known
from app.kafka.transaction import Record
from app.model.binding import SourceTopic
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.model.receiver import Draining, Receiver, entity_key
from app.model.task import TaskStatus, TaskType

_ASK_FOR_NO_ENDS = frozenset(
    {
        TaskType.EXPORT_RETIRE,
        TaskType.TOKENS_REFRESH,
        TaskType.BATCH_RETRY,
        TaskType.REPLAY_CANCEL,
        TaskType.RECEIVER_ROTATE,
    }
)
"""Tasks for which topics may come and go. Some of them wait for Storage, again and again while it is away."""
_log = logging.getLogger(__name__)


class Reader(NamedTuple):
    """Whose topics may come and go: a receiver with a pattern, or one that was deleted and is drained."""

    uid: str
    project_id: str
    receiver_id: str

    @property
    def key(self) -> str:
        return entity_key(self.project_id, self.receiver_id)


def readers(catalog: Catalog) -> list[Reader]:
    """One of a single topic that is there is none: it waits for its topic, until somebody deletes it. Pure."""
    there = {receiver.uid for receiver in catalog.receivers.values()}
    found = [Reader(r.uid, r.project_id, r.receiver_id) for r in catalog.receivers.values() if r.pattern is not None]
    exports = (draining.export for draining in catalog.draining.values())
    drained = (Reader(e.receiver_uid, e.project_id, e.receiver_id) for e in exports if e.receiver_uid not in there)
    return [*found, *dict.fromkeys(drained)]


def still_drained(catalog: Catalog, receiver_uid: str, topic_id: str) -> list[Draining]:
    """Those of the receiver's deleted exports that were to get something of a topic which is gone, without it. Pure."""
    found = []
    for draining in catalog.draining.values():
        export = draining.export
        places = tuple(place for place in export.drain_to or () if place.topic_id != topic_id)
        if export.receiver_uid == receiver_uid and places != (export.drain_to or ()):
            found.append(replace(draining, export=replace(export, drain_to=places)))
    return found


def to_adopt(catalog: Catalog, limits: Limits, receiver: Receiver, names: Collection[str]) -> list[str]:
    """Which of the topics that there are a receiver is to be bound to, as many as it can have room for. Pure."""
    if receiver.pattern is None or catalog.receivers.get(_key(receiver)) != receiver:
        return []
    found = meant_topics(limits, receiver.project_id, receiver.receiver_id, receiver.pattern, names)
    free = [name for name in found if is_free(catalog, name)]
    return free[: room_of(catalog, limits, receiver)]


def room_of(catalog: Catalog, limits: Limits, receiver: Receiver) -> int:
    """How many partitions it may read besides those that it reads."""
    return max(0, limits.max_source_partitions - sum(one.partitions for one in catalog.bindings_of(receiver.uid)))


def fitting(room: int, sources: Iterable[SourceTopic]) -> list[SourceTopic]:
    """Those, in order, that have room for all their partitions. Pure."""
    found = []
    for source in sources:
        if source.partitions <= room:
            found.append(source)
            room -= source.partitions
    return found


def is_busy(catalog: Catalog, receiver: Receiver | Reader) -> bool:
    """Whether a task of the receiver, or of an export of it, is under way that may ask where its topics end."""
    return any(
        task.status is TaskStatus.PROCESSING
        and task.type not in _ASK_FOR_NO_ENDS
        and entity_key(task.project_id, task.receiver_id) == _key(receiver)
        for task in catalog.tasks.values()
    )


class Adopting:
    """For the projects of one commands partition: `ours` says which those are. Run `run` as a task."""

    def __init__(self, surroundings: Surroundings, log: ControlLog, ours: Callable[[str], bool]) -> None:
        self._around, self._log, self._ours = surroundings, log, ours
        self._limits = Limits.of(surroundings.settings)
        self._told: set[str] = set()
        self._partitions: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled. Raises Closed when the partition is not ours any more."""
        while True:
            await asyncio.sleep(self._around.settings.source_look_seconds)
            try:
                await self.look()
            except Interrupted as trouble:
                _log.warning("new topics are not bound yet: %s", trouble)
            except KafkaUnavailable as trouble:
                _log.warning("new topics are not looked for: %s", trouble.message)

    async def look(self) -> None:
        """Ask Kafka once, and claim what is new for each receiver with a pattern. Raises KafkaUnavailable."""
        catalog = self._log.catalog
        receivers = [r for r in catalog.receivers.values() if r.pattern is not None and self._ours(r.project_id)]
        names = await topic_names(self._around.admin) if receivers else []
        await self._let_go([reader for reader in readers(catalog) if self._ours(reader.project_id)])
        for receiver in receivers:
            await self._adopt(receiver, to_adopt(catalog, self._limits, receiver, names))
            self._tell(receiver, names)
        for project_id in sorted({receiver.project_id for receiver in receivers}):
            await self._take_back(project_id)

    async def _adopt(self, receiver: Receiver, wanted: Sequence[str]) -> None:
        if not wanted:
            return
        described = await asyncio.to_thread(describe_known, self._around.admin, wanted)
        sources = [SourceTopic(name, *facts) for name, facts in sorted(described.items()) if facts is not None]
        self._partitions.update({source.topic: source.partitions for source in sources})

        def records() -> list[Record]:
            catalog = self._log.catalog
            still = to_adopt(catalog, self._limits, receiver, described.keys())
            if is_busy(catalog, receiver):
                return []
            room = room_of(catalog, self._limits, receiver)
            fit = fitting(room, [source for source in sources if source.topic in still])
            place = receiver.uid, receiver.project_id, receiver.receiver_id
            claims = new_claims(catalog, place, fit, now_ms())
            return control_records(self._log.names, claims)

        await self._log.transact(records)
        await self._take_back(receiver.project_id)  # at once: one that is left would count when the first one goes
        bound = {topic.topic for topic in self._log.catalog.bound_topics(receiver.uid)}
        for name in sorted(bound & described.keys()):
            _log.info("receiver %s reads topic %s too, which is new", _key(receiver), name)

    async def _let_go(self, found: Sequence[Reader]) -> None:
        """Of topics that are gone, or made anew under their names, which then are new ones. All are looked for at the
        same time: each takes some seconds. What Kafka does not say of one holds up no other.
        """
        missed = [(reader, topic) for reader in found for topic in await self._missed(reader)]
        gone = await asyncio.gather(*(self._is_gone(topic) for _, topic in missed))
        for (reader, topic), is_gone in zip(missed, gone, strict=True):
            if is_gone:
                await self._log.transact(lambda r=reader, t=topic: self._gone(r, t))  # type: ignore[misc]  # mypy knows no defaults of lambdas
                if topic not in self._log.catalog.bound_topics(reader.uid):
                    _log.warning("topic %s, which receiver %s read, is gone", topic.topic, reader.key)

    async def _missed(self, reader: Reader) -> list[SourceTopic]:
        """Topics that the broker that was asked does not show."""
        bound = self._log.catalog.bound_topics(reader.uid)
        there = await asyncio.to_thread(describe_known, self._around.admin, [topic.topic for topic in bound])
        return [t for t in bound if t.topic in there and (there[t.topic] or ("", 0))[0] != t.topic_id]

    async def _is_gone(self, topic: SourceTopic) -> bool:
        try:
            return await ends_or_gone(self._around.admin, topic.topic, topic.topic_id) is None
        except KafkaUnavailable as trouble:
            _log.warning("topic %s is not shown, and may be there: %s", topic.topic, trouble.message)
            return False

    def _gone(self, reader: Reader, topic: SourceTopic) -> list[Record]:
        """Not the ends of earlier mappings: an envelope of theirs may be on its way, and the sink must know them."""
        catalog = self._log.catalog
        claims = [claim for claim in catalog.bindings_of(reader.uid) if claim.source == topic]
        if is_busy(catalog, reader) or not claims:
            return []
        return control_records(self._log.names, still_drained(catalog, reader.uid, topic.topic_id), claims)

    async def _take_back(self, project_id: str) -> None:
        """Claims that came too late."""
        catalog, names = self._log.catalog, self._log.names
        if lost_claims(catalog, project_id):
            await self._log.transact(lambda: control_records(names, ended=lost_claims(catalog, project_id)))

    def _tell(self, receiver: Receiver, names: Sequence[str]) -> None:
        """Once, when there are more topics than a receiver may read."""
        room = room_of(self._log.catalog, self._limits, receiver)
        found = meant_topics(self._limits, receiver.project_id, receiver.receiver_id, receiver.pattern or "", names)
        left = [name for name in found if is_free(self._log.catalog, name)]
        if any(self._partitions.get(name, 1) > room for name in left) and receiver.uid not in self._told:
            self._told.add(receiver.uid)
            _log.warning(
                "receiver %s reads %d partitions, and more than %d are not allowed (STREAMS_MAX_SOURCE_PARTITIONS); "
                "topics that are not read: %s",
                *(_key(receiver), self._limits.max_source_partitions - room, self._limits.max_source_partitions),
                ", ".join(left),
            )


def _key(receiver: Receiver | Reader) -> str:
    return entity_key(receiver.project_id, receiver.receiver_id)
