"""Dead letters turned back into the events that they were, to be mapped again. Pure.

Which letters a requeue is of follows from the control log alone: those of its export in its range with its reason, but
none that an earlier requeue of the export is of, none that stands for a batch, and none of a replay into another table
than its own. So whoever reads them, and however often, comes to the same.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.kafka.codec import CodecError, dead_letter_codec
from app.kafka.dead_letters import letter_key
from app.model.dead_letter import DeadLetter
from app.model.event import EventBatch, Reason
from app.model.replay import Replay, ReplayKind

_log = logging.getLogger(__name__)


class StoredLetter(Protocol):
    """A record of the topic of dead letters."""

    @property
    def offset(self) -> int: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...


class LetterAt(NamedTuple):
    """A letter and its offset in its partition."""

    offset: int
    letter: DeadLetter


@dataclass(frozen=True)
class Criteria:
    """Which letters of a partition are wanted: of this export, with this reason (None: any), not of an `earlier`
    requeue, and not of the revisions `others`, whose rows go to other tables.
    """

    export_uid: str
    key: bytes
    partition: int
    reason: str | None
    earlier: tuple[Replay, ...]
    others: frozenset[int]

    @classmethod
    def of(cls, replay: Replay, replays: Iterable[Replay]) -> Criteria:
        """Of a requeue; `replays` are all of its export."""
        before = [one for one in replays if one.revision.number < replay.revision.number]
        table_id = replay.revision.mapping.table_id
        return cls(
            replay.export_uid,
            letter_key(replay.project_id, replay.receiver_id, replay.export_id).encode(),
            replay.ranges[0].partition,
            replay.reason,
            earlier_requeues(before, replay.topic_id),
            frozenset(one.revision.number for one in before if one.revision.mapping.table_id != table_id),
        )

    def wants(self, offset: int, letter: DeadLetter) -> bool:
        reason = letter.event.reason
        return (
            letter.export_uid == self.export_uid
            and reason is not Reason.BATCH_EXPIRED
            and self.reason in (None, reason)
            and letter.revision not in self.others
            and not any(_is_of(replay, self.partition, offset, reason) for replay in self.earlier)
        )


def earlier_requeues(replays: Iterable[Replay], topic_id: str) -> tuple[Replay, ...]:
    """The requeues among these replays of an export that read this topic."""
    return tuple(r for r in replays if r.kind is ReplayKind.REQUEUE and r.topic_id == topic_id)


def wanted_letters(records: Collection[StoredLetter], criteria: Criteria) -> list[LetterAt]:
    """The letters among these records, in order. One that this version cannot read is named in the log."""
    found = []
    for record in records:
        if record.key != criteria.key or record.value is None:
            continue
        try:
            letter = dead_letter_codec.decode(record.value)
        except CodecError as error:
            _log.error("dead letter at offset %d cannot be requeued: %s", record.offset, error)
            continue
        if criteria.wants(record.offset, letter):
            found.append(LetterAt(record.offset, letter))
    return found


def events_of(letters: Sequence[LetterAt]) -> EventBatch:
    """The events of letters that have a body; their offsets are those of the letters."""
    events = [letter.event for _, letter in letters]
    return EventBatch(
        [offset for offset, _ in letters],
        [event.time_ms for event in events],
        [event.event_id for event in events],
        [event.ip for event in events],
        [event.body or b"" for event in events],
        [event.headers for event in events],
    )


def _is_of(replay: Replay, partition: int, offset: int, reason: Reason) -> bool:
    return replay.reason in (None, reason) and any(
        part.partition == partition and part.first <= offset < part.end for part in replay.ranges
    )
