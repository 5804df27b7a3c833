"""What an export has of a chunk, once its events are mapped: its envelopes, encoded, and what they count."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.kafka.codec import rows_codec
from app.kafka.faust import Chunk
from app.mapper import metrics
from app.mapper.envelopes import to_envelopes
from app.mapper.lane import Outgoing
from app.mapper.targets import Target
from app.model.event import EventBatch, Segment
from app.model.rows import Source

Parts = Sequence[tuple[EventBatch, asyncio.Future[list[Segment]]]]
"""The events that an export takes of a chunk, in parts, and what becomes of each."""


async def to_outgoing(target: Target, batch: EventBatch, parts: Parts, source: Source, chunk: Chunk) -> Outgoing:
    """The export's envelopes, when its events are mapped (no parts: it takes none)."""
    export = target.export
    segments = [segment for _, mapping in parts for segment in await asyncio.shield(mapping)]
    envelopes = to_envelopes(
        export.uid, export.revision.number, source, chunk.topic, chunk.base, chunk.end, segments, batch
    )
    metrics.ROW_BYTES.inc(sum(len(envelope.csv) for envelope in envelopes))
    rows = sum(envelope.count for envelope in envelopes)
    failures = [failed.reason for envelope in envelopes for failed in envelope.failures]
    return Outgoing(
        export.uid,
        export.rows_partition,
        [rows_codec.encode(envelope) for envelope in envelopes],
        rows,
        failures,
        sum(len(part) for part, _ in parts) - rows - len(failures),
    )
