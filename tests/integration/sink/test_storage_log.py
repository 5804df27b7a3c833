"""What a person finds in Storage about a batch: its file's tags and run id, and events about uploads and imports."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.model.conditions import MIB, Conditions
from app.model.ledger import Phase

TEN_ROWS = Conditions(count=10, size_bytes=50 * MIB, time_seconds=3600)


def get(bench: Any, path: str, **params: str) -> Any:
    headers = {"X-StorageApi-Token": bench.storage.master_token}
    return httpx.get(f"{bench.storage.url}/v2/storage/{path}", params=params, headers=headers).json()


async def test_file_job_and_events_of_a_batch_are_found_by_its_run_id(bench: Any) -> None:
    bench.storage.fault("job_error", method="POST", path="import-async$", code="csvImport.columnsNotMatch", times=1)
    export = await bench.export("told", TEN_ROWS)
    await bench.send(bench.envelope(export, 0, 10))

    bench.start_sink()
    await bench.until_arrived(export)
    await bench.until(lambda: [b.phase for b in bench.batches(export)] == [Phase.IMPORTED], "an imported batch")
    (batch,) = bench.batches(export)
    await bench.until(lambda: len(get(bench, "events", runId=batch.run_id)) >= 3, "three events")

    events = get(bench, "events", runId=batch.run_id)[::-1]
    assert {event["component"] for event in events} == {"keboola.keboola-buffer"}
    assert [(event["message"], event["type"], event["params"]["task"]) for event in events] == [
        ("Slice upload done.", "info", "slice-upload"),
        ("File import failed.", "error", "file-import"),
        ("File import done.", "info", "file-import"),
    ]
    (part,) = batch.slices
    names = {"projectId": "1234", "receiverId": "r", "exportId": "told"}
    assert events[1]["results"] == {**names, "error": "Injected failure."}
    assert events[2]["results"] == {
        **names,
        "statistics": {
            "recordsCount": 10,
            "recordsSize": part.csv_bytes,
            "fileSize": part.csv_bytes,
            "fileGZipSize": part.stored_bytes,
        },
    }
    file = get(bench, f"files/{batch.file.file_id}")
    assert file["runId"] == batch.run_id
    assert set(file["tags"]) == {"stream.receiver=r", "stream.export=told", f"stream.batch={batch.batch_id}"}
    jobs = [job for job in get(bench, "jobs", limit="100") if job["runId"] == batch.run_id]
    assert {str(job["id"]) for job in jobs} == {attempt.job_id for attempt in batch.attempts}


@pytest.mark.long
async def test_events_that_storage_does_not_take_hold_nothing_up(bench: Any) -> None:
    bench.storage.fault("status", method="POST", path="storage/events$", status=500, times=None)
    export = await bench.export("untold", TEN_ROWS)
    await bench.send(bench.envelope(export, 0, 20))

    bench.start_sink()

    await bench.until_arrived(export)
    logs = [path.read_text() for path in bench.tmp_path.glob("sink-*.log")]
    assert sum(text.count("an event was not put into Storage's log") for text in logs) == 1
