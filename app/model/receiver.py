"""Receivers and their exports: what is configured, as the control log keeps it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from app.model.conditions import Conditions
from app.model.errors import BadRequest, clipped
from app.model.signature import Signature

LIVE_LANE = "live"
"""The lane of events as they arrive; a replay has a lane of its own."""


class ColumnType(StrEnum):
    ID = "id"
    DATETIME = "datetime"
    IP = "ip"
    BODY = "body"
    HEADERS = "headers"
    TEMPLATE = "template"
    PATH = "path"


@dataclass(frozen=True)
class Column:
    """One column of a table: where its cell comes from.

    `template` (Jsonnet source) is there for type `template` only; `path` (into the body) for type `path` only, with the
    value for bodies that do not have it, if any, as `default`. Both types may be `raw_string`: a string result is then
    the cell as it is, not as JSON.
    """

    name: str
    type: ColumnType
    primary_key: bool = False
    template: str | None = None
    path: str | None = None
    default: str | None = None
    raw_string: bool = False


@dataclass(frozen=True)
class Mapping:
    """How one event becomes one row of one table, or none. `table_id` is "stage.bucket.table".

    `filter` (Jsonnet source), where there is one, gives true for the events that are to be mapped.
    """

    table_id: str
    columns: tuple[Column, ...]
    incremental: bool = True
    filter: str | None = None

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def primary_key(self) -> list[str]:
        return [column.name for column in self.columns if column.primary_key]


@dataclass(frozen=True)
class TableId:
    """The three parts of a table's id: "in.c-flights.departures" is stage "in", bucket "c-flights", table
    "departures".
    """

    stage: str
    bucket: str
    table: str

    @property
    def bucket_id(self) -> str:
        return f"{self.stage}.{self.bucket}"

    @classmethod
    def parse(cls, text: str) -> TableId:
        parts = text.split(".")
        if len(parts) != 3 or parts[0] not in ("in", "out", "sys") or not all(0 < len(p) <= 96 for p in parts):
            raise BadRequest(
                f'Invalid "tableId" value "{clipped(text)}": it must be "stage.bucket.table", stage in, out or sys, '
                'each name at most 96 characters. For example: "in.c-bucket.table"'
            )
        return cls(*parts)


@dataclass(frozen=True)
class SourceOffset:
    """A place in a source: the next offset of one partition of the topic with this id (not name)."""

    topic_id: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Revision:
    """One mapping of an export with the token that may write its bucket.

    `token` is encrypted (see app.model.cipher). Revisions count from 1; the last one is in force. `until` are the
    source offsets at and after which no event is of this revision, known once a later one has taken its place.
    """

    number: int
    mapping: Mapping
    token_id: str
    token: bytes
    created_ms: int
    until: tuple[SourceOffset, ...] | None = None


@dataclass(frozen=True)
class BatchRetry:
    """A person asks that a batch is tried again, as they saw it: after its attempt that began at `attempt_ms`, 0 before
    the first. `task_id` tells the request from an earlier one.
    """

    batch_id: str
    attempt_ms: int
    task_id: str


@dataclass(frozen=True)
class Suspension:
    """A time for which an export is mapped no further: source offsets that its live lane skips on purpose.

    They begin at `first` and end before `end` (a partition not named: 0). Until `first` is known, and again from when
    `lane` is there until `end` is, nobody knows which events are in it, so mappers hold the receiver's chunks: control
    finds it out within moments. `lane` is the revision by which what waits will be mapped. `reason` is there when the
    export was suspended by itself. Source: delivery protocol, rule 22.
    """

    since_ms: int
    reason: str | None = None
    first: tuple[SourceOffset, ...] | None = None
    end: tuple[SourceOffset, ...] | None = None
    lane: Revision | None = None

    @property
    def is_over(self) -> bool:
        return self.end is not None

    @property
    def is_settling(self) -> bool:
        """Whether it is just found out where it begins or ends."""
        return self.first is None or (self.lane is not None and self.end is None)

    def skips(self, topic_id: str, partition: int) -> tuple[int, int | None]:
        """The offsets of a source partition that are in it: from here, to before there (None: no end yet)."""
        first = offset_at(self.first or (), topic_id, partition) or 0
        return first, None if self.end is None else max(first, offset_at(self.end, topic_id, partition) or 0)


@dataclass(frozen=True)
class Export:
    """One table that a receiver's events go to.

    `starts` are the source offsets from which the export takes events (a partition not named starts at 0);
    `rows_partition` is chosen at create and never computed again. `revisions` are those that may still have rows on
    their way, oldest first. `drain_to` is there once the export was deleted (see `Draining`). `ended_by` is the token,
    encrypted, of who ended a revision or the export. `retries` are the last that were asked for, at most one a batch;
    the ledger says which were taken up. `suspensions` follow one another; all but the last are over. Source: delivery
    protocol, identity.
    """

    uid: str
    receiver_uid: str
    project_id: str
    receiver_id: str
    export_id: str
    name: str
    conditions: Conditions
    rows_partition: int
    starts: tuple[SourceOffset, ...]
    revisions: tuple[Revision, ...]
    created_ms: int
    drain_to: tuple[SourceOffset, ...] | None = None
    ended_by: bytes | None = None
    retries: tuple[BatchRetry, ...] = ()
    suspensions: tuple[Suspension, ...] = ()

    @property
    def suspension(self) -> Suspension | None:
        """The one that the export is in now."""
        return self.suspensions[-1] if self.suspensions and not self.suspensions[-1].is_over else None

    @property
    def revision(self) -> Revision:
        """The one in force."""
        return self.revisions[-1]

    def find_revision(self, number: int) -> Revision | None:
        """The revision with this number; None when it is not known yet, or has nothing on its way any more."""
        return next((revision for revision in self.revisions if revision.number == number), None)

    def of_revision(self, number: int) -> Revision:
        """The revision of rows or of a batch that are still on their way, which keep it known."""
        revision = self.find_revision(number)
        assert revision is not None, f"revision {number} of export {self.uid} is over, and has rows on their way"
        return revision

    def start(self, topic_id: str, partition: int) -> int:
        """The first offset of this source partition that the export takes."""
        return offset_at(self.starts, topic_id, partition) or 0


@dataclass(frozen=True)
class Draining:
    """An export that was deleted: what was accepted for it is still mapped and imported (delivery protocol, rule 20).

    `export.drain_to` is None until the end of its topic is known, which is after no gateway can accept events any more.
    `delete_topic`: the topic goes with the last export that is drained from it. Of a receiver with a pattern the topics
    are those that it is bound to: `topic` and `topic_id` are empty.
    """

    export: Export
    topic: str
    topic_id: str
    partitions: int
    delete_topic: bool
    ended_ms: int


@dataclass(frozen=True)
class PreviousSecret:
    """The secret (encrypted) that a receiver had before, which senders may use until this Unix time."""

    secret: bytes = field(repr=False)
    until_ms: int


@dataclass(frozen=True)
class Receiver:
    """An endpoint for events and the topic behind it. `secret` is encrypted; `starts` is where a kept topic begins
    anew.

    The secret is a part of the import URL, or with `bearer_only` a token in a header and in no URL. `signature` says
    how requests must be signed beside that. One with a `pattern` reads all topics that it is bound to (see `Binding`);
    it has no topic of its own: `topic` and `topic_id` are empty.
    """

    uid: str
    project_id: str
    receiver_id: str
    name: str
    description: str
    secret: bytes
    topic: str
    topic_id: str
    partitions: int
    created_ms: int
    starts: tuple[SourceOffset, ...] = field(default=())
    split: bool = True
    previous: PreviousSecret | None = None
    bearer_only: bool = False
    signature: Signature | None = None
    pattern: str | None = None

    @property
    def is_bound(self) -> bool:
        """Whether the topic is somebody else's: it is read, and never made, written to, changed or deleted by us."""
        return is_bound(self.topic, self.project_id, self.receiver_id)


def is_bound(topic: str, project_id: str, receiver_id: str) -> bool:
    """Whether a receiver's topic is none that we make for it, as its name says.

    >>> is_bound("streams.events.1.a", "1", "a"), is_bound("orders", "1", "a")
    (False, True)
    """
    return not topic.endswith(f".events.{project_id}.{receiver_id}")


def offset_at(places: Iterable[SourceOffset], topic_id: str, partition: int) -> int | None:
    """The offset that these places name for a partition of a topic, if they do."""
    return next((p.offset for p in places if (p.topic_id, p.partition) == (topic_id, partition)), None)


def entity_key(project_id: str, receiver_id: str, export_id: str | None = None) -> str:
    """The key of an entity in the control log: "<project>/<receiver>[/<export>]"."""
    return "/".join(part for part in (project_id, receiver_id, export_id) if part is not None)
