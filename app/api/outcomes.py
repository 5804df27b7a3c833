"""What a dry run answers, and what it leaves out so that the answer is bounded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.api.answers import Answer
from app.api.trials import Outcome
from app.kafka.recent import RecentRecord
from app.mapping.csv import row_values
from app.model.event import Failure
from app.model.receiver import Mapping
from app.model.task import iso_time

MAX_VALUE_BYTES = 16 << 10
"""Bytes of a value that an answer shows."""
MAX_VALUES_BYTES = 4 << 20
"""Bytes of all its values: where there are so many that these are not enough, each is cut shorter."""
_MIN_VALUE_BYTES = 64


class ValueAnswer(Answer):
    """`value_bytes` is there when the value is cut."""

    name: str
    value: str
    value_bytes: int | None = None


class FaultAnswer(Answer):
    column: str | None = None
    reason: str
    message: str


class SourceAnswer(Answer):
    topic: str
    partition: int
    offset: int
    received_at: str


class TriedEventAnswer(Answer):
    """Has either `columns` and `csv_bytes`, or `errors`, or `skipped`; `source` when it is from Kafka."""

    index: int
    source: SourceAnswer | None = None
    columns: list[ValueAnswer] | None = None
    csv_bytes: int | None = None
    errors: list[FaultAnswer] | None = None
    skipped: bool | None = None


class TotalsAnswer(Answer):
    events: int
    rows: int
    errors: int
    skipped: int
    csv_bytes: int


class DryRunAnswer(Answer):
    events: list[TriedEventAnswer]
    totals: TotalsAnswer
    warnings: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row with its values cut; `sizes` are those of the whole values in bytes."""

    csv_bytes: int
    values: list[str]
    sizes: list[int]


def read_row(csv: bytes, most_bytes: int) -> Row:
    """The row that this CSV is, its values cut to so many bytes of UTF-8.

    >>> read_row('"a","žž"\\n'.encode(), 3)
    Row(csv_bytes=11, values=['a', 'ž'], sizes=[1, 4])
    """
    values = row_values(csv)
    return Row(len(csv), [value[:most_bytes].decode("utf-8", "ignore") for value in values], [*map(len, values)])


def value_limit(events: int, columns: int) -> int:
    """Bytes of each value that an answer for so many events and columns has room for."""
    return min(MAX_VALUE_BYTES, max(_MIN_VALUE_BYTES, MAX_VALUES_BYTES // max(1, events * columns)))


def show_outcomes(
    mapping: Mapping,
    outcomes: Sequence[Outcome[Row]],
    records: Sequence[RecentRecord] = (),
    warnings: list[str] | None = None,
) -> DryRunAnswer:
    """One entry an event, in order; `records` are there when the events are from Kafka."""
    rows = [outcome.row for outcome in outcomes if outcome.row is not None]
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    return DryRunAnswer(
        events=[
            TriedEventAnswer(
                index=index,
                source=_source(records[index]) if records else None,
                columns=None if outcome.row is None else _columns(mapping, outcome.row),
                csv_bytes=None if outcome.row is None else outcome.row.csv_bytes,
                errors=[_fault(failure) for failure in outcome.failures] or None,
                skipped=True if outcome.row is None and not outcome.failures else None,
            )
            for index, outcome in enumerate(outcomes)
        ],
        totals=TotalsAnswer(
            events=len(outcomes),
            rows=len(rows),
            errors=failed,
            skipped=len(outcomes) - len(rows) - failed,
            csv_bytes=sum(row.csv_bytes for row in rows),
        ),
        warnings=warnings or None,
    )


def _columns(mapping: Mapping, row: Row) -> list[ValueAnswer]:
    return [
        ValueAnswer(name=name, value=value, value_bytes=size if size > len(value.encode()) else None)
        for name, value, size in zip(mapping.column_names, row.values, row.sizes, strict=True)
    ]


def _fault(failure: Failure) -> FaultAnswer:
    return FaultAnswer(column=failure.column, reason=failure.reason.value, message=failure.message)


def _source(record: RecentRecord) -> SourceAnswer:
    return SourceAnswer(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        received_at=iso_time(record.timestamp),
    )
