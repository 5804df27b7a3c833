"""Batches as the sink records them."""

from __future__ import annotations

import uuid
from typing import Any

from committed import until_visible

from app.kafka.names import Names
from app.kafka.transaction import TransactionalWriter
from app.model.ledger import Attempt, BatchRecord, Phase, Slice, SourceRange, StagedFile
from app.model.receiver import LIVE_LANE, Export
from app.model.rows import Source
from app.settings import Settings
from app.sink.clock import BrokerClock
from app.sink.ledger import Ledger

SECRET = b"encrypted-upload-credentials"


def batch(export: Export, batch_id: str, **fields: Any) -> BatchRecord:
    """One whose import failed; `fields` are of the record."""
    values = {
        "revision": 1,
        "table_id": "in.c-web.clicks",
        "incremental": True,
        "phase": Phase.FAILED,
        "opened_ms": 1_700_000_000_123,
        "run_id": "77",
        "file": StagedFile("99", 0, 0, SECRET),
        "slices": (Slice("s1", 3, 30, 10), Slice("s2", 4, 40, 20)),
        "sources": (SourceRange(Source("topic-id", 0, LIVE_LANE), 5, 11),),
        "attempts": (Attempt("99", 1_700_000_002_000, refusal="no"), Attempt("99", 1_700_000_003_000, job_id="55")),
        "closed_by": "time",
        "closed_ms": 1_700_000_001_123,
        "failures": 2,
        "retry_ms": 1_700_000_100_000,
        "error": "the table was changed",
        **fields,
    }
    return BatchRecord(export_uid=export.uid, batch_id=batch_id, **values)


def record(settings: Settings, export: Export, *batches: BatchRecord, forgotten: tuple[str, ...] = ()) -> None:
    """Write them into the export's ledger one after the other, then forget those; readers see it when it returns."""
    ledger = Ledger(settings, export.rows_partition, BrokerClock())
    writer = TransactionalWriter(settings, f"batches-{uuid.uuid4().hex}")
    writer.start()
    try:
        for one in batches:
            writer.write([ledger.batch(one)])
        if forgotten:
            writer.write(ledger.forget(export.uid, forgotten, state=False))
        until_visible(settings, Names(settings.topic_prefix).ledger)
    finally:
        writer.close()
        ledger.close()
