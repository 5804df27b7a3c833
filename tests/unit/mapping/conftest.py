"""Batches and mappings for the mapping's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.mapping.rows import map_batch
from app.model.event import EventBatch, Failure, Segment
from app.model.receiver import Column, ColumnType, Mapping

TIME_MS = 1_672_628_645_006
"""2023-01-02T03:04:05.006Z."""

MakeBatch = Callable[..., EventBatch]
MakeMapping = Callable[..., Mapping]
Cell = Callable[..., str]


@pytest.fixture(scope="session")
def make_batch() -> MakeBatch:
    """make_batch(body, ..., headers=[...]): events at offsets 0, 1, ...; all with the same headers."""

    def make(*bodies: bytes, headers: Sequence[tuple[str, bytes]] = (), times_ms: Sequence[int] = ()) -> EventBatch:
        count = len(bodies)
        return EventBatch(
            offsets=list(range(count)),
            times_ms=list(times_ms) or [TIME_MS] * count,
            ids=[f"id-{number}" for number in range(count)],
            ips=["1.2.3.4"] * count,
            bodies=list(bodies),
            headers=[list(headers) for _ in range(count)],
        )

    return make


@pytest.fixture(scope="session")
def make_mapping() -> MakeMapping:
    """make_mapping("id", "body", template="..."): columns by type, then template columns by name."""

    def make(*types: str, **templates: str) -> Mapping:
        columns = [Column(kind, ColumnType(kind)) for kind in types]
        columns += [Column(name, ColumnType.TEMPLATE, template=source) for name, source in templates.items()]
        return Mapping("in.c-bucket.table", tuple(columns))

    return make


@pytest.fixture(scope="session")
def cell(make_batch: MakeBatch, make_mapping: MakeMapping) -> Cell:
    """cell(template, body, headers): the text of the template's cell for one event."""

    def evaluate(template: str, body: bytes = b"{}", headers: Sequence[tuple[str, bytes]] = ()) -> str:
        (segment,) = map_batch(make_mapping(cell=template), make_batch(body, headers=headers))
        assert not segment.failures, segment.failures
        return segment.csv.decode()[1:-2].replace('""', '"')

    return evaluate


@pytest.fixture(scope="session")
def failure(make_batch: MakeBatch, make_mapping: MakeMapping) -> Callable[..., Failure]:
    """failure(template, body, headers): how the template fails for one event."""

    def evaluate(template: str, body: bytes = b"{}", headers: Sequence[tuple[str, bytes]] = ()) -> Failure:
        (segment,) = map_batch(make_mapping(cell=template), make_batch(body, headers=headers))
        assert segment.csv == b""
        return segment.failures[0]

    return evaluate


@pytest.fixture(scope="session")
def outcome() -> Callable[[Sequence[Segment]], Any]:
    """outcome(segments): (rows by offset, failures by offset), however they were cut."""

    def gather(segments: Sequence[Segment]) -> tuple[dict[int, bytes], dict[int, tuple[Any, ...]]]:
        from app.mapping.csv import row_ends

        rows: dict[int, bytes] = {}
        failures: dict[int, tuple[Any, ...]] = {}
        for segment in segments:
            ends = [0, *row_ends(segment.csv)]
            for number, offset in enumerate(segment.offsets):
                rows[offset] = segment.csv[ends[number] : ends[number + 1]]
            assert len(ends) == len(segment.offsets) + 1
            for failed in segment.failures:
                failures[failed.offset] = (failed.reason, failed.column, failed.message)
        return rows, failures

    return gather
