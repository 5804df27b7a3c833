"""What the transport hands over: chunks of records of one partition, and ticks between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Record(Protocol):
    """One record as aiokafka's parser gives it; nothing is built around it."""

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int:
        """Milliseconds; the broker's append time where the topic is set so."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Partition(NamedTuple):
    """A partition of a topic by name."""

    topic: str
    partition: int


class Committed(NamedTuple):
    """What the group has committed for a partition: the next offset, and the committer's note."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of one partition; none where a transaction left only markers and aborted records.

    It speaks for the offsets from `base` to before `end`; chunks of one generation follow on each other without a hole
    (`base` is the `end` before, the first `base` is where reading began). Offsets in between without a record are
    transaction markers, compacted away, or, `lost` of them, deleted by retention before they were read. `generation`
    names the lease of the partition under which it was fetched: `done` under another one is ignored.
    """

    topic: str
    partition: int
    base: int
    end: int
    records: Sequence[Record]
    generation: int
    size_bytes: int
    lost: int = 0

    @property
    def source(self) -> Partition:
        return Partition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far we are with one partition under one lease. Offsets are those of the next record."""

    source: Partition
    generation: int
    fetched: int
    """What lies before is in chunks that were handed over."""
    done: int
    committed: int
    """What lies before is not read again after a restart."""
    committed_at: float
    """Monotonic time of the last commit; of the lease before the first."""
    oldest_ms: int | None
    """The broker's time of the first record that was fetched and is not done, or of one not long before it in the same
    chunk; None when all that was fetched is done."""
    held: bool
    """Whether no more of it is to be handed over for now, or Kafka refuses to let it be read."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; comes through the same queue as the chunks, so one loop decides."""


TICK = Tick()
Item = Chunk | Tick
