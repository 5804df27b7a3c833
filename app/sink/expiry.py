"""The dead letter of a batch that expired: it stands for all rows of the batch, and says where they are.

Its source and offset are those of the batch's first rows; its body has all of them as JSON. Source: delivery protocol,
rule 19.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from app.kafka.names import Names
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.ledger import BatchRecord
from app.model.receiver import Export
from app.model.replay import ReplayingExport
from app.model.rows import FailedEvent

_MESSAGE_CHARACTERS = 1000
"""Of the reason, which Storage may have sent at any length."""


def letter_of_batch(export: Export, record: BatchRecord, topic: str, now_ms: int) -> DeadLetter:
    """One letter for the batch. `topic` is the name of the topic that its events came from."""
    first = record.sources[0]
    reason = record.error or "no reason is known"
    event = FailedEvent(
        offset=first.first,
        reason=Reason.BATCH_EXPIRED,
        column=None,
        message=f"batch {record.batch_id} with {record.count} rows is given up after {record.failures} failed imports; "
        f"its rows stay in file {record.file.file_id} of Storage: {reason[:_MESSAGE_CHARACTERS]}",
        topic=topic,
        time_ms=record.opened_ms,
        event_id=record.batch_id,
        ip="",
        headers=[("Content-Type", b"application/json")],
        body=orjson.dumps(_facts(record)),
    )
    return DeadLetter(
        export.project_id,
        export.receiver_id,
        export.export_id,
        export.uid,
        record.revision,
        first.source,
        event,
        now_ms,
    )


def source_topic(
    export: ReplayingExport, record: BatchRecord, names: Names, topic_name: Callable[[str], str | None]
) -> str:
    """The topic whose offsets stand first in a batch: of a replay its own (of a requeue that of the dead letters), else
    one that the receiver reads.
    """
    topic_id = record.sources[0].source.topic_id
    for replay in export.replays:
        if replay.revision.number == record.revision:
            topics = {found: name for name, found in map(replay.topic_of, replay.ranges)}
            return topics.get(topic_id, replay.topic)
    return topic_name(topic_id) or names.events(export.project_id, export.receiver_id)


def _facts(record: BatchRecord) -> dict[str, object]:
    """What a program needs to find the rows: the file, and the source offsets (`last` included)."""
    return {
        "batchId": record.batch_id,
        "tableId": record.table_id,
        "fileId": record.file.file_id,
        "rows": record.count,
        "sources": [
            {
                "topicId": part.source.topic_id,
                "partition": part.source.partition,
                "lane": part.source.lane,
                "first": part.first,
                "last": part.last,
            }
            for part in record.sources
        ],
    }
