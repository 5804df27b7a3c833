"""What the sink counts, for metrics and for `streams local demo`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from app.model.ledger import BatchRecord


@dataclass(slots=True)
class Counters:
    """Plain numbers of this process since its start; exported by `app.observe`."""

    envelopes: int = 0
    rows: int = 0
    repeats: int = 0
    staged_rows: int = 0
    staged_bytes: int = 0
    batches_imported: int = 0
    rows_imported: int = 0
    import_seconds: float = 0
    storage_retries: int = 0
    gaps: int = 0
    fenced: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)

    def imported(self, record: BatchRecord, now_ms: int) -> None:
        self.batches_imported += 1
        self.rows_imported += record.count
        self.import_seconds += max(now_ms - record.attempts[-1].started_ms, 0) / 1000
