"""How far a group member is behind, how long until retention takes what it has not read, what does not move. Pure.

Retention deletes whole segments, once their newest record is old enough, so a record goes at its time plus the topic's
retention or later: what is said here is the earliest. By size (`retention.bytes`) it may go earlier; that is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from app.kafka.faust import Partition, Progress

FOREVER = math.inf
"""Seconds that retention leaves where nothing waits to be read, or nothing is ever deleted."""
Place = tuple[str, int, int]
"""A topic, a partition and an offset."""


@dataclass(frozen=True, slots=True)
class Oldest:
    """The first record that is there at a place or behind it: its offset and the broker's time."""

    offset: int
    stamp_ms: int


@dataclass(frozen=True, slots=True)
class Lag:
    """One partition: records that wait, and the seconds until retention may delete the first of them."""

    source: Partition
    records: int
    left_seconds: float


@dataclass(frozen=True, slots=True)
class Lags:
    """One look at all partitions that we hold, and at what exports that are parked will read again."""

    partitions: tuple[Lag, ...] = ()
    parked_left_seconds: float = FOREVER
    commit_age_seconds: float = 0.0
    """Of the partition with a lag whose last commit, or whose lag, is the oldest."""
    still_seconds: float = 0.0
    """For how long one partition has not moved that should have."""

    @property
    def left_seconds(self) -> float:
        return min((lag.left_seconds for lag in self.partitions), default=FOREVER)


@dataclass(slots=True)
class _Seen:
    generation: int
    position: int
    committed: int
    lagging_since: float | None = None
    still_seconds: float = 0.0


@dataclass(slots=True)
class LagBook:
    """Keeps what one look has to know of those before.

    `excused` says of a partition that its standing still is meant. `position` says how far what was handed over has
    been dealt with: `done`, where it is not given.
    """

    excused: Callable[[Partition], bool] = lambda _source: False
    position: Callable[[Progress], int] = lambda place: place.done
    _seen: dict[Partition, _Seen] = field(default_factory=dict)

    def to_look_at(self, progress: Iterable[Progress], ends: Mapping[Partition, int]) -> list[Place]:
        """Places whose first record has to be looked at: there is a lag, nothing of it was fetched, and it was so at
        the last look. What stands still for longest comes first.
        """
        found = []
        for place in progress:
            seen = self._seen.get(place.source)
            behind = ends.get(place.source, 0) > place.committed and place.oldest_ms is None
            if behind and seen is not None and seen.committed == place.committed:
                found.append((seen.still_seconds, (*place.source, place.committed)))
        return [place for _, place in sorted(found, reverse=True)]

    def look(
        self,
        progress: Iterable[Progress],
        ends: Mapping[Partition, int],
        oldest: Mapping[Place, Oldest | None],
        retention_ms: Mapping[str, int | None],
        *,
        now: float,
        now_ms: int,
        elapsed_seconds: float,
        busy: bool,
    ) -> Lags:
        """Take what Kafka said now. `oldest` has None where nothing is left to read; `retention_ms` None for ever.

        `busy`: a chunk waits to be handed over, so that what is not fetched is not to blame, as long as anything moves.
        """
        progress = [place for place in progress if place.source in ends]
        moved = any(self._has_moved(place) for place in progress)
        lags, ages, still, kept = [], [0.0], 0.0, {}
        for place in progress:
            source, at = place.source, (*place.source, place.committed)
            there = oldest.get(at)
            gone = at in oldest and there is None and place.oldest_ms is None
            records = 0 if gone else max(0, ends[source] - place.committed)
            stamp_ms = place.oldest_ms if place.oldest_ms is not None else there.stamp_ms if there else None
            seen = self._seen.get(source)
            if seen is None or seen.generation != place.generation:
                seen = _Seen(place.generation, self.position(place), place.committed)
            kept[source] = seen
            lags.append(Lag(source, records, _left(records, stamp_ms, retention_ms.get(source.topic), now_ms)))
            seen.lagging_since = None if not records else now if seen.lagging_since is None else seen.lagging_since
            if seen.lagging_since is not None:
                ages.append(now - max(seen.lagging_since, place.committed_at))
            self._stand(place, seen, ends[source], elapsed_seconds, known=stamp_ms is not None, line=busy and moved)
            still = max(still, seen.still_seconds)
        self._seen = kept
        return Lags(tuple(lags), FOREVER, max(ages), still)

    def _has_moved(self, place: Progress) -> bool:
        seen = self._seen.get(place.source)
        return seen is not None and seen.position != self.position(place)

    def _stand(
        self, place: Progress, seen: _Seen, end: int, elapsed_seconds: float, *, known: bool, line: bool
    ) -> None:
        """`known`: there is a record to read; `line`: others are dealt with and keep this one waiting."""
        position = self.position(place)
        waits = position == place.fetched
        meant = (waits and (place.held or line)) or self.excused(place.source)
        if position != seen.position or position >= end or meant or not known:
            seen.still_seconds = 0.0
        else:
            seen.still_seconds += elapsed_seconds
        seen.position, seen.committed = position, place.committed

    def forgive(self) -> None:
        """Kafka did not answer: what stood still meanwhile had a reason."""
        for seen in self._seen.values():
            seen.still_seconds = 0.0


def parked_left(at: Place, there: Oldest | None, retention_ms: int | None, now_ms: int) -> float:
    """Seconds until retention overtakes what will be read again from this place on; 0 when it has."""
    if there is None or retention_ms is None:
        return FOREVER
    if there.offset > at[2]:
        return 0.0
    return _left(1, there.stamp_ms, retention_ms, now_ms)


def _left(records: int, stamp_ms: int | None, retention_ms: int | None, now_ms: int) -> float:
    if not records or stamp_ms is None or retention_ms is None:
        return FOREVER
    return max(0.0, (stamp_ms + retention_ms - now_ms) / 1000)
