"""The names of topics, groups and transactional ids; everything begins with the prefix (a setting)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """Names for one installation; two with different prefixes share a cluster without meeting."""

    prefix: str

    def events(self, project_id: str, receiver_id: str) -> str:
        return f"{self.events_prefix}{project_id}.{receiver_id}"

    @property
    def events_prefix(self) -> str:
        """What the names of all receivers' topics begin with."""
        return f"{self.prefix}.events."

    @property
    def commands(self) -> str:
        return f"{self.prefix}.commands"

    @property
    def control(self) -> str:
        return f"{self.prefix}.control"

    @property
    def rows(self) -> str:
        return f"{self.prefix}.rows"

    @property
    def ledger(self) -> str:
        return f"{self.prefix}.ledger"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}.dead-letters"

    def group(self, process: str) -> str:
        """Consumer group of "mapper", "sink" or "control"."""
        return f"{self.prefix}-{process}"

    def replay_group(self, lane: str) -> str:
        """Consumer group that keeps how far the mapper has come with a replay."""
        return f"{self.group('mapper')}-replay-{lane}"

    def transactional_id(self, process: str, partition: int) -> str:
        """Of "sink" (a rows partition) or "control" (a commands partition)."""
        return f"{self.transactional_id_prefix(process)}{partition}"

    def transactional_id_prefix(self, process: str) -> str:
        """What the ids of "sink" or "control" begin with."""
        return f"{self.prefix}-{process}-"
