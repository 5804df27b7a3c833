"""Which exports take which events of a chunk, by the control log as it is now. Pure.

Neither what comes at or behind the end of one that was deleted, nor what came while one was suspended (delivery
protocol, rules 20 and 22).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from app.model.catalog import Catalog
from app.model.receiver import ColumnType, Export, offset_at


@dataclass(frozen=True, slots=True)
class Target:
    """An export and the source offsets, from `start` to before `stop`, that it takes of one chunk."""

    export: Export
    start: int
    stop: int
    skips: tuple[tuple[int, int], ...] = ()
    """From an offset to before another, ascending: what came while the export was suspended."""

    def bounds(self, offsets: list[int]) -> tuple[int, int]:
        """The indexes, from and to before, of these ascending offsets that the export takes."""
        first = bisect_left(offsets, self.start)
        return first, max(first, bisect_left(offsets, self.stop))

    def parts(self, offsets: list[int]) -> tuple[tuple[int, int], ...]:
        """Like `bounds`, without what the export skips: one or several, none of them empty."""
        found = []
        first, last = self.bounds(offsets)
        for begin, end in self.skips:
            stop = max(first, min(last, bisect_left(offsets, begin)))
            found.append((first, stop))
            first = max(stop, min(last, bisect_left(offsets, end)))
        return tuple((begin, end) for begin, end in (*found, (first, last)) if end > begin)


def wanted_topics(catalog: Catalog) -> set[str]:
    """Topics of receivers, and of receivers that were deleted with events still to be mapped."""
    drained = {topic.topic for draining in catalog.draining.values() for topic in catalog.topics_drained(draining)}
    return {*catalog.receivers_by_topic, *(topic for topic in catalog.bindings if catalog.reader_of(topic)), *drained}


def exports_from(catalog: Catalog, topic: str) -> list[Export]:
    """Who takes events of the topic with this name: the receiver's exports, and those that drain from it."""
    topic_id = catalog.topic_id(topic)
    found = {d.export.uid: d.export for d in catalog.draining_from(topic) if d.topic_id in (topic_id, "")}
    receiver = catalog.reader_of(topic)
    if receiver is not None:
        found |= {export.uid: export for export in catalog.exports_of(receiver) if export.uid not in found}
    return list(found.values())


def first_offset(catalog: Catalog, topic: str, partition: int) -> int:
    """Where reading of a partition begins that was not read before: above 0 on a topic that was kept from an earlier
    receiver.
    """
    receiver, topic_id = catalog.reader_of(topic), catalog.topic_id(topic) or ""
    starts = [] if receiver is None else [offset_at(receiver.starts, topic_id, partition) or 0]
    starts += [d.export.start(d.topic_id or topic_id, partition) for d in catalog.draining_from(topic)]
    return min(starts, default=0)


def targets(topic_id: str, exports: Iterable[Export], partition: int, base: int, end: int) -> list[Target]:
    """One for each export that the offsets from `base` to before `end` concern, also when it takes none of them.

    An export that is being drained is no longer concerned by what lies behind its last offset (delivery protocol,
    rules 2 and 20).
    """
    found, source = [], (topic_id, partition)
    for export in exports:
        stop = end
        if export.drain_to is not None:
            stop = min(end, offset_at(export.drain_to, topic_id, partition) or 0)
            if stop <= base:
                continue
        found.append(
            Target(export, max(base, export.start(topic_id, partition)), stop, _skips(export, source, base, stop))
        )
    return found


def is_settling(exports: Iterable[Export]) -> bool:
    """Whether one of them is being suspended or resumed, and nobody knows yet at which offsets."""
    return any(export.suspension is not None and export.suspension.is_settling for export in exports)


def _skips(export: Export, source: tuple[str, int], base: int, stop: int) -> tuple[tuple[int, int], ...]:
    """What of these offsets came while the export was suspended. Suspensions follow one another."""
    found = []
    for suspension in export.suspensions:
        first, end = suspension.skips(*source)
        if first < stop and (end is None or base < end) and first != end:
            found.append((max(first, base), stop if end is None else min(end, stop)))
    return tuple(found)


def need_ids(found: Iterable[Target]) -> bool:
    """Whether a column can show the event's id."""
    return any(column.type is ColumnType.ID for target in found for column in target.export.revision.mapping.columns)
