"""Asking the sink to try a batch again: by the export's record, since the ledger is the sink's alone to write.

The sink takes a request up once, and only if the batch is still as the person saw it (`app.sink.importing`; delivery
protocol, rule 19).
"""

from __future__ import annotations

from dataclasses import replace

from app.api.drafts import Retry, load_draft
from app.api.rules import find_export
from app.control.run import Run
from app.kafka.codec import ControlValue
from app.model.receiver import BatchRetry

MOST_RETRIES = 100
"""What an export's record keeps, the last ones; the sink takes them up within a second, unless it is away."""


async def retry_batch(run: Run) -> None:
    """Asked twice for the same batch, the later request counts."""
    asked = load_draft(Retry, run.command.payload)

    def entities() -> list[ControlValue]:
        task = run.task
        export = find_export(run.catalog, task.project_id, task.receiver_id, task.export_id or "")
        others = tuple(retry for retry in export.retries if retry.batch_id != asked.batch_id)
        retry = BatchRetry(asked.batch_id, asked.attempt_ms, task.task_id)
        return [replace(export, retries=(*others, retry)[-MOST_RETRIES:])]

    await run.succeed("batch is tried again", entities)
