"""When a batch ends, and in which order batches go into their table, shown on real sinks."""

from __future__ import annotations

from typing import Any

import pytest

from app.model.conditions import MIB, Conditions
from app.model.ledger import BatchRecord, Phase

SECONDS = 12
BY_TIME = Conditions(count=1_000_000, size_bytes=50 * MIB, time_seconds=SECONDS)
SIZE_BYTES = 3000
BY_SIZE = Conditions(count=1_000_000, size_bytes=SIZE_BYTES, time_seconds=3600)
BY_COUNT = Conditions(count=10, size_bytes=50 * MIB, time_seconds=3600)
LONGEST_ROW_BYTES = 60


async def imported(bench: Any, export: Any, batches: int) -> list[BatchRecord]:
    """Wait for so many; in the order of their first rows."""

    def there() -> bool:
        return sum(batch.phase is Phase.IMPORTED for batch in bench.batches(export)) >= batches

    await bench.until(there, f"{batches} imported batches")
    return sorted(bench.batches(export), key=lambda batch: batch.batch_id)


@pytest.mark.parametrize(
    "change", ["the sink was killed", pytest.param("another sink has joined", marks=pytest.mark.long)]
)
async def test_time_ends_a_window_although_nothing_comes_any_more(bench: Any, change: str) -> None:
    """Its rows are staged and committed, so the new owner of the partition reads not one record of it."""
    bench.environment["staging_span_seconds"] = 0.3
    export = await bench.export("quiet", BY_TIME)
    sink = bench.start_sink()
    await bench.until_ready()  # a window's time begins when its first row comes, however long a sink takes to start
    await bench.send(bench.envelope(export, 0, 7))
    await bench.until(lambda: bench.committed(1) == 1, "a commit behind all that was sent")
    assert [batch.phase for batch in bench.batches(export)] == [Phase.OPEN]
    if change == "the sink was killed":
        sink.kill()
        sink.wait(60)
    bench.start_sink()

    (batch,) = await imported(bench, export, 1)

    assert batch.closed_by == "time"
    assert (batch.closed_ms or 0) - batch.opened_ms >= SECONDS * 1000
    await bench.until_arrived(export)


async def test_batch_passes_its_size_by_less_than_one_row(bench: Any) -> None:
    export = await bench.export("size", BY_SIZE)
    await bench.send(*(bench.envelope(export, base, 50) for base in range(0, 500, 50)))

    bench.start_sink()
    await bench.until(lambda: len(bench.rows(export)) > 400, "rows")
    batches = await imported(bench, export, 4)

    sizes = [sum(part.csv_bytes for part in batch.slices) for batch in batches if batch.closed_by == "size"]
    assert len(sizes) >= 4
    assert all(SIZE_BYTES <= size < SIZE_BYTES + LONGEST_ROW_BYTES for size in sizes)


async def test_full_loads_replace_the_table_in_the_order_of_their_rows(bench: Any) -> None:
    export = await bench.export("full", BY_COUNT, incremental=False)
    bench.storage.fault("job_error", method="POST", path="import-async$", code="csvImport.columnsNotMatch", times=1)
    await bench.send(bench.envelope(export, 0, 40))

    bench.start_sink()
    batches = await imported(bench, export, 4)

    assert sorted(bench.rows(export)) == sorted(bench.sent["full"][30:])
    attempts = [attempt.started_ms for batch in batches for attempt in batch.attempts]
    assert len(attempts) == 5, "the first was tried again before the second had its turn"
    assert attempts == sorted(attempts)
