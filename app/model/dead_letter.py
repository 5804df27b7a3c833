"""An event that one export could not map, with the reason; published once, in the sink's ledger transaction."""

from __future__ import annotations

from dataclasses import dataclass

from app.model.rows import FailedEvent, Source


@dataclass(frozen=True, slots=True)
class DeadLetter:
    project_id: str
    receiver_id: str
    export_id: str
    export_uid: str
    revision: int
    source: Source
    event: FailedEvent
    published_ms: int
