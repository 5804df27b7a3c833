"""Which exports take which events of a chunk, by the control log as it is now. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from app.model.receiver import ColumnType, Export, Receiver, SourceOffset


@dataclass(frozen=True, slots=True)
class Target:
    """An export and the source offsets, from `start` to before `stop`, that it takes of one chunk."""

    export: Export
    start: int
    stop: int

    def bounds(self, offsets: list[int]) -> tuple[int, int]:
        """The indexes, from and to before, of these ascending offsets that the export takes."""
        first = bisect_left(offsets, self.start)
        return first, max(first, bisect_left(offsets, self.stop))


def receiver_start(receiver: Receiver, partition: int) -> int:
    """The offset at which the receiver begins: above 0 on a topic that was kept from an earlier receiver."""
    return _offset(receiver.starts, receiver.topic_id, partition) or 0


def targets(receiver: Receiver, exports: Iterable[Export], partition: int, base: int, end: int) -> list[Target]:
    """One for each export that the offsets from `base` to before `end` concern, also when it takes none of them.

    An export that is being drained is no longer concerned by what lies behind its last offset (delivery protocol,
    rules 2 and 20).
    """
    first = max(base, receiver_start(receiver, partition))
    found = []
    for export in exports:
        stop = end
        if export.drain_to is not None:
            stop = min(end, _offset(export.drain_to, receiver.topic_id, partition) or 0)
            if stop <= base:
                continue
        found.append(Target(export, max(first, export.start(receiver.topic_id, partition)), stop))
    return found


def need_ids(found: Iterable[Target]) -> bool:
    """Whether a column can show the event's id."""
    return any(column.type is ColumnType.ID for target in found for column in target.export.revision.mapping.columns)


def _offset(places: Iterable[SourceOffset], topic_id: str, partition: int) -> int | None:
    return next((p.offset for p in places if (p.topic_id, p.partition) == (topic_id, partition)), None)
