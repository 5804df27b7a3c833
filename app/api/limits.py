"""How many entities there may be, and which topics of others: what the settings allow, for all rules."""

from __future__ import annotations

from dataclasses import dataclass

from app.settings import Settings

_HOUR_MS = 3_600_000
_SEGMENT_HOURS = 8 * 24
"""How much longer than its retention a record may be in Kafka, which deletes whole segments, and writes to one for up
to 7 days (`log.roll.hours`, by default); with a day to spare.
"""


PLACES_BYTES = 9_400
"""What an export's record may have for each partition that its receiver reads: two places a suspension, one a mapping,
and two more, so 302 of 31 bytes when it was suspended and changed as often as it may be.
"""
_PARTITION_BYTES = 13_500
"""Of a message for each of these partitions: a third is left for mappings, and for partitions that are added later."""


@dataclass(frozen=True)
class Limits:
    """How many entities there may be."""

    max_receivers: int = 100
    max_exports: int = 20
    max_revisions: int = 100
    max_replays: int = 10
    topic_prefix: str = "streams"
    source_topics: tuple[str, ...] = ()
    """Which topics receivers may be bound to: "project:pattern"."""
    max_source_partitions: int = 300
    """Of all topics that one receiver may be bound to."""
    suspensions_kept_ms: int = 14 * 24 * _HOUR_MS
    replays_kept_ms: int = 15 * 24 * _HOUR_MS
    """How long after its end a replay may have dead letters from before in Kafka."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            settings.max_receivers,
            settings.max_exports,
            settings.max_revisions,
            settings.max_replays,
            settings.topic_prefix,
            tuple(settings.source_topics),
            min(settings.max_source_partitions, settings.max_message_bytes // _PARTITION_BYTES),
            int(2 * settings.retention_hours * _HOUR_MS),
            int((settings.retention_hours + _SEGMENT_HOURS) * _HOUR_MS),
        )

    def sources_of(self, project_id: str) -> list[str]:
        """Patterns of the topics that receivers of the project may be bound to."""
        return [one.partition(":")[2] for one in self.source_topics if one.partition(":")[0] in (project_id, "*")]
