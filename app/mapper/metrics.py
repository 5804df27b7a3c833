"""What the mapper counts for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("streams_mapper_events", "Events read from receiver topics (tombstones apart)")
TOMBSTONES = Counter("streams_mapper_tombstones", "Records without a value, which are not events")
UNMAPPED = Counter("streams_mapper_events_without_export", "Events of receivers that have no export")
LOST = Counter("streams_mapper_offsets_lost", "Offsets that retention deleted before they were read")
ROWS = Counter("streams_mapper_rows", "Rows delivered to the rows topic")
FILTERED = Counter("streams_mapper_filtered", "Events that an export's filter skipped, by export and event")
FAILURES = Counter("streams_mapper_failures", "Events that could not be mapped, by reason", ["reason"])
ENVELOPES = Counter("streams_mapper_envelopes", "Envelopes delivered to the rows topic")
RETRIES = Counter("streams_mapper_envelope_retries", "Envelopes sent again because Kafka did not acknowledge them")
STALE = Counter("streams_mapper_chunks_dropped", "Chunks dropped because their topic was made again or is gone")
IN_FLIGHT = Gauge("streams_mapper_bytes_in_flight", "Memory of chunks that are not yet done, estimated")
CHUNK_SECONDS = Histogram(
    "streams_mapper_chunk_seconds",
    "From a chunk's fetch to the delivery of its last envelope",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
