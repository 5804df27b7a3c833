"""A sink killed at each step of staging and of the import protocol, then started again: one import, with all rows."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from app.keboola.answers import Job, JobStatus
from app.keboola.client import StorageClient
from app.model.conditions import MIB, Conditions
from app.model.ledger import Phase
from app.sink.fault_points import Point

BY_COUNT = Conditions(count=100, size_bytes=50 * MIB, time_seconds=3600)
WITHOUT_ANSWER = (Point.SLICES_COPIED, Point.COPY_RECORDED, Point.FIRST_DELETED, Point.MOVE_RECORDED)
"""Points that are come by only after an import that nobody answered and that made no job."""
QUICK = (Point.IMPORT_POSTED,)


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[] if point in QUICK else pytest.mark.long) for point in Point]
)
async def test_a_sink_killed_at_this_point_imports_once(bench: Any, point: Point) -> None:
    export = await bench.export("point", BY_COUNT)
    if point in WITHOUT_ANSWER:
        bench.storage.fault("reset", method="POST", path="import-async$")
    bench.environment["sink_fault_point"] = point
    dying = bench.start_sink()
    await bench.send(bench.envelope(export, 0, 99, failures=1), bench.envelope(export, 100, 1))
    await bench.until(lambda: dying.poll() is not None, f"the death at {point}")
    del bench.environment["sink_fault_point"]

    bench.start_sink()

    await bench.until_arrived(export)
    await bench.until(lambda: [b.phase for b in bench.batches(export)] == [Phase.IMPORTED], "one imported batch")
    assert dying.returncode == -signal.SIGKILL
    assert [job.status for job in imports(bench)].count(JobStatus.SUCCESS) == 1


def imports(bench: Any) -> list[Job]:
    """Into the test's table."""
    table_id = f"in.c-{bench.settings.topic_prefix}.point"
    with StorageClient(bench.storage.url, bench.storage.master_token) as client:
        return [job for job in client.list_jobs() if (job.operation, job.table_id) == ("tableImport", table_id)]
