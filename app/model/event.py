"""Events on their way from a topic to the mapping, and what the mapping makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from app.model.schema import NoSchema, Schema

Headers = Sequence[tuple[str, bytes]]
"""A record's event headers in order, names as received; the first value of a name wins on read."""

ID_HEADER = "streams.id"
IP_HEADER = "streams.ip"
RESERVED_PREFIX = "streams."
NDJSON_TYPES = frozenset(
    {
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
        "application/json-lines",
    }
)
"""Media types of JSON lines: over HTTP each line is an event of its own, and a line is JSON."""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one chunk, column-wise: every list has one item an event, in source order.

    `times_ms` are record timestamps (receive time), `bodies` the record values byte for byte; `headers` are without the
    reserved ones, which became `ids` and `ips` ("" where unknown).

    Where bodies have to be decoded by a schema, `schema_ids` says by which (one an event, NOT_FRAMED: as it is), and
    `schemas` has those that are needed, by id; else both are empty.
    """

    offsets: list[int]
    times_ms: list[int]
    ids: list[str]
    ips: list[str]
    bodies: list[bytes]
    headers: list[Headers]
    schema_ids: list[int] = field(default_factory=list)
    schemas: Mapping[int, Schema | NoSchema] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def part(self, start: int, stop: int) -> EventBatch:
        """The events from index `start` to before `stop`."""
        return EventBatch(
            self.offsets[start:stop],
            self.times_ms[start:stop],
            self.ids[start:stop],
            self.ips[start:stop],
            self.bodies[start:stop],
            self.headers[start:stop],
            self.schema_ids[start:stop],
            self.schemas,
        )

    def pick(self, indexes: Sequence[int]) -> EventBatch:
        """The events with these ascending indexes."""
        return EventBatch(
            [self.offsets[index] for index in indexes],
            [self.times_ms[index] for index in indexes],
            [self.ids[index] for index in indexes],
            [self.ips[index] for index in indexes],
            [self.bodies[index] for index in indexes],
            [self.headers[index] for index in indexes],
            [self.schema_ids[index] for index in indexes] if self.schema_ids else [],
            self.schemas,
        )


class Reason(StrEnum):
    """Why an event became a dead letter instead of a row."""

    TEMPLATE_ERROR = "template.error"
    TEMPLATE_TIMEOUT = "template.timeout"
    TEMPLATE_MEMORY = "template.memory"
    BODY_INVALID = "body.invalid"
    BODY_UNDECODABLE = "body.undecodable"
    """It is in the wire format, and cannot be read by its schema."""
    SCHEMA_UNKNOWN = "schema.unknown"
    """It is in the wire format, and the registry has no schema for it."""
    ROW_TOO_LARGE = "row.too_large"
    EXPORT_RESTING = "export.resting"
    BATCH_EXPIRED = "batch.expired"
    """Not one event but a batch of rows: its import failed for too long (delivery protocol, rule 19)."""


@dataclass(slots=True)
class Failure:
    """One event that could not be mapped by one export. `column` is None when the whole row is at fault.

    Nobody changes one. It is not frozen because a bad export has one for every event, and a frozen one takes twice as
    long to make.
    """

    offset: int
    reason: Reason
    column: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Segment:
    """What a run of consecutive events became for one export: at most about 900 KB of CSV, or one entry.

    `end` is the source offset after the last event of the run. `offsets` holds the source offset of each row in `csv`.
    An event of the run that is neither row nor failure was skipped on purpose.
    """

    end: int
    csv: bytes
    offsets: list[int]
    failures: list[Failure]
