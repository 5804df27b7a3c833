"""What a receiver has used of its quota, as the lane counts it and as it is asked for every few seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Usage:
    """Of one receiver, on one gateway.

    `accepted_bytes` were accepted here since `backlog_bytes` was asked for, once for each of the `exports`. `events` of
    `body_bytes` were accepted here in all.
    """

    backlog_bytes: int = 0
    accepted_bytes: int = 0
    exports: int = 1
    events: int = 0
    body_bytes: int = 0

    @property
    def bytes(self) -> int:
        return self.backlog_bytes + self.accepted_bytes

    def add(self, events: int, body_bytes: int) -> None:
        """Events that Kafka has."""
        self.events += events
        self.body_bytes += body_bytes
        self.accepted_bytes += body_bytes * self.exports
