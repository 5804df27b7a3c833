"""What the mapping made of a chunk, as the envelopes of one export. Pure. Source: delivery protocol, rules 2 and 4."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from app.kafka.events import event_id
from app.model.event import EventBatch, Failure, Segment
from app.model.rows import FailedEvent, Rows, Source, to_runs

MAX_RAW_BYTES = 3 << 20
"""Body and headers of a failed event that fit a message of 4 MiB; a bigger one goes by its coordinates."""


def to_envelopes(
    export_uid: str,
    revision: int,
    source: Source,
    topic: str,
    base: int,
    end: int,
    segments: Sequence[Segment],
    batch: EventBatch,
) -> list[Rows]:
    """Envelopes that speak, one after the other, for every offset from `base` to before `end`; at least one.

    `segments` cover the events of `batch`, in order. The last envelope reaches to `end` and the first from `base`, so
    what lies before, between and after the events is accounted for as skipped.
    """
    if not segments:
        return [Rows(export_uid, revision, source, base, end, [], 0, b"", [], end - base)]
    envelopes = []
    for number, segment in enumerate(segments, 1):
        stop = end if number == len(segments) else segment.end
        failures = [_failed(failure, source, topic, batch) for failure in segment.failures]
        count = len(segment.offsets)
        envelopes.append(
            Rows(
                export_uid,
                revision,
                source,
                base,
                stop,
                to_runs(base, segment.offsets),
                count,
                segment.csv,
                failures,
                stop - base - count - len(failures),
            )
        )
        base = stop
    return envelopes


def _failed(failure: Failure, source: Source, topic: str, batch: EventBatch) -> FailedEvent:
    index = bisect_left(batch.offsets, failure.offset)
    headers, body = batch.headers[index], batch.bodies[index]
    size = len(body) + sum([len(name.encode()) + len(value) for name, value in headers])
    fits = size <= MAX_RAW_BYTES
    return FailedEvent(
        offset=failure.offset,
        reason=failure.reason,
        column=failure.column,
        message=failure.message,
        topic=topic,
        time_ms=batch.times_ms[index],
        event_id=event_id(batch, index, source.topic_id, source.partition),
        ip=batch.ips[index],
        headers=headers if fits else [],
        body=body if fits else None,
    )
