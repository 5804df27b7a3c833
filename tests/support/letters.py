"""Dead letters as the sink publishes them: by its ledger's records, in transactions of its kind of producer."""

from __future__ import annotations

import uuid
from typing import Any

from committed import until_visible

from app.kafka.names import Names
from app.kafka.transaction import TransactionalWriter
from app.model.conditions import Conditions
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.receiver import LIVE_LANE, Export
from app.model.rows import FailedEvent, Source
from app.settings import Settings
from app.sink.clock import BrokerClock
from app.sink.ledger import Ledger


def some_export(export_id: str, *, uid: str = "uid", project_id: str = "1234") -> Export:
    """An export that has a name and no more."""
    return Export(uid, "receiver-uid", project_id, "r", export_id, "E", Conditions(1, 1, 1), 1, (), (), 0)


def letter(export: Export, offset: int, **event: Any) -> DeadLetter:
    """What one event of the export's receiver became; `event` are fields of it, such as its reason or body."""
    values = {
        "reason": Reason.TEMPLATE_ERROR,
        "column": "value",
        "message": 'path "value" not found in the body',
        "topic": f"streams.events.{export.project_id}.{export.receiver_id}",
        "time_ms": 1_700_000_000_123,
        "event_id": f"event-{offset}",
        "ip": "203.0.113.7",
        "headers": [("Content-Type", b"application/json")],
        "body": f'{{"number": {offset}}}'.encode(),
        **event,
    }
    source = Source("topic-id", 0, LIVE_LANE)
    failed = FailedEvent(offset=offset, **values)
    return DeadLetter(
        export.project_id, export.receiver_id, export.export_id, export.uid, 1, source, failed, 1_700_000_001_000
    )


def publish(settings: Settings, *transactions: list[DeadLetter]) -> None:
    """Write them, each list in a transaction of its own; readers see them when it returns."""
    ledger = Ledger(settings, 0, BrokerClock())
    writer = TransactionalWriter(settings, f"letters-{uuid.uuid4().hex}")
    writer.start()
    try:
        for letters in transactions:
            writer.write([ledger.dead_letter(one) for one in letters])
        until_visible(settings, Names(settings.topic_prefix).dead_letters)
    finally:
        writer.close()
        ledger.close()
