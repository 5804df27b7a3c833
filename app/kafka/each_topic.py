"""Reading several topics for one call, one after the other: one time for all, and no topic fails the others. Blocking.

Topics of a pattern may come and go, and a gateway need not be allowed each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from app.model.errors import KafkaUnavailable

_LEAST_SECONDS = 1.0
"""What a topic may take, if as much is left: one that answers needs a fraction of it, and the others have the rest."""
T = TypeVar("T")


class TopicUnreadable(KafkaUnavailable):
    """Kafka has no such topic, or does not let us read it."""


def read_each(
    topics: Sequence[str],
    seconds: float,
    read: Callable[[str, float], T],
    left_out: type[KafkaUnavailable] = TopicUnreadable,
) -> dict[str, T]:
    """What `read` gives by topic; it is told the seconds that it may take, always more than 0.

    Topics for which it raises what may be `left_out` are not there; it is raised only when no topic is left. Raises
    KafkaUnavailable when the time is over before each was read, unless that may be left out too.
    """
    deadline = time.monotonic() + seconds
    found: dict[str, T] = {}
    trouble: KafkaUnavailable | None = None
    for number, topic in enumerate(topics):
        left = deadline - time.monotonic()
        try:
            if left <= 0:
                raise KafkaUnavailable(f"Kafka did not answer about {topic} in time.")
            found[topic] = read(topic, max(left / (len(topics) - number), min(left, _LEAST_SECONDS)))
        except left_out as error:
            trouble = error
    if trouble is not None and not found:
        raise trouble
    return found
