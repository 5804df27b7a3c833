"""The envelope between mapper and sink: what one run of a source's events became for one export.

Envelopes of one (export, source) are produced one after the other, so whatever any mapper emits goes on from, or
repeats a prefix of, what the sink has. Source: delivery protocol, rules 1 to 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.model.event import Reason


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """Where events come from. The topic's id, not its name: a topic made again starts at offset 0 and is another
    source.
    """

    topic_id: str
    partition: int
    lane: str


@dataclass(slots=True)
class FailedEvent:
    """A failure with the raw event, so that nothing is lost. `body` is None for an event too big for a message.

    Not frozen, for the reason that `Failure` has.
    """

    offset: int
    reason: Reason
    column: str | None
    message: str
    topic: str
    time_ms: int
    event_id: str
    ip: str
    headers: Sequence[tuple[str, bytes]]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Rows:
    """One envelope.

    It speaks for the source offsets from `base` to before `end`. `runs` are the offsets of the rows in `csv`, in order,
    as alternating (gap after the run before, length of the run), the first gap counted from `base`; an offset that is
    neither row nor failure was skipped on purpose and is counted in `skipped`. `csv` holds `count` rows, each ended by
    LF.
    """

    export_uid: str
    revision: int
    source: Source
    base: int
    end: int
    runs: Sequence[int]
    count: int
    csv: bytes
    failures: Sequence[FailedEvent]
    skipped: int

    def row_offsets(self) -> Iterator[int]:
        """Source offset of each row in `csv`."""
        position = self.base
        for gap, length in zip(self.runs[::2], self.runs[1::2], strict=True):
            position += gap
            yield from range(position, position + length)
            position += length


def to_runs(base: int, offsets: Sequence[int]) -> list[int]:
    """`Rows.runs` of ascending offsets, none below `base`.

    >>> to_runs(10, [10, 11, 14])
    [0, 2, 2, 1]
    """
    if not offsets:
        return []
    if offsets[-1] - offsets[0] + 1 == len(offsets):
        return [offsets[0] - base, len(offsets)]
    runs: list[int] = []
    position = base
    for offset in offsets:
        if runs and offset == position:
            runs[-1] += 1
        else:
            runs += [offset - position, 1]
        position = offset + 1
    return runs
