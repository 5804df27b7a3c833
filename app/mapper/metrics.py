"""What the mapper counts for Prometheus."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

EVENTS = Counter("streams_mapper_events", "Events read from receiver topics (tombstones apart)")
BYTES = Counter("streams_mapper_event_bytes", "Bytes of the bodies read from receiver topics")
TOMBSTONES = Counter("streams_mapper_tombstones", "Records without a value, which are not events")
UNMAPPED = Counter("streams_mapper_events_without_export", "Events of receivers that have no export")
LOST = Counter("streams_mapper_offsets_lost", "Offsets that retention deleted before they were read")
ROWS = Counter("streams_mapper_rows", "Rows delivered to the rows topic")
ROW_BYTES = Counter("streams_mapper_row_bytes", "CSV bytes of the rows mapped")
FILTERED = Counter("streams_mapper_filtered", "Events that an export's filter skipped, by export and event")
FAILURES = Counter("streams_mapper_failures", "Events that could not be mapped, by reason", ["reason"])
ENVELOPES = Counter("streams_mapper_envelopes", "Envelopes delivered to the rows topic")
REPLAYED = Counter("streams_mapper_events_replayed", "Events that replays have mapped again")
REPLAY_FAILURES = Counter(
    "streams_mapper_replay_failures", "Times that a lane of a replay met a defect; it is tried again"
)
REPLAY_READERS = Gauge("streams_mapper_replay_readers", "Lanes of replays that read now")
RETRIES = Counter("streams_mapper_envelope_retries", "Envelopes sent again because Kafka did not acknowledge them")
STALE = Counter("streams_mapper_chunks_dropped", "Chunks dropped because their topic was made again or is gone")
WITHOUT_SCHEMAS = Gauge(
    "streams_mapper_partitions_without_schemas", "Partitions that wait because the schema registry is not to be had"
)
IN_FLIGHT = Gauge("streams_mapper_bytes_in_flight", "Memory of chunks that are not yet done, estimated")
CHUNK_SECONDS = Histogram(
    "streams_mapper_chunk_seconds",
    "From a chunk's fetch to the delivery of its last envelope",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)


class ChildrenCollector(Collector):
    """The mapping children, looked at when somebody asks: how many there are and the memory that they have."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        sizes = [_resident_bytes(pid) for pid in self._pids()]
        yield GaugeMetricFamily("streams_mapper_children", "Mapping children that run.", value=len(sizes))
        yield GaugeMetricFamily(
            "streams_mapper_children_resident_bytes", "Memory of the mapping children, added up.", value=sum(sizes)
        )


def _resident_bytes(pid: int) -> int:
    """By /proc; 0 of a process that has ended, and where there is no /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
