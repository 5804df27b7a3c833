"""Which topics of others a receiver reads: its claims in the control log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceTopic:
    """A topic that is read: its name, its id, and how many partitions it has at least."""

    topic: str
    topic_id: str
    partitions: int


@dataclass(frozen=True)
class Binding:
    """A receiver's claim to be the one that reads a topic which is somebody else's.

    The first claim in the control log counts, so that all readers of the log agree who reads the topic, whatever
    processes wrote at the same time. For its place there to stay, the record is never written again, and goes when
    nothing of the topic is on its way for the receiver.
    """

    receiver_uid: str
    project_id: str
    receiver_id: str
    topic: str
    topic_id: str
    partitions: int
    created_ms: int

    @property
    def source(self) -> SourceTopic:
        return SourceTopic(self.topic, self.topic_id, self.partitions)


def binding_key(binding: Binding) -> str:
    """The key of a binding in the control log."""
    return f"{binding.receiver_uid}/{binding.topic}"
