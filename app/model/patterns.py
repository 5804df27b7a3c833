"""Patterns for names of topics: `*` stands for any characters, also none, `?` for one, others for themselves. Pure.

The same words as in STREAMS_SOURCE_TOPICS, so that one look says whether a receiver's pattern lies within what a
project may read. A dot is a dot, and no pattern takes long.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

INTERNAL_PREFIX = "__"
"""Names of topics that Kafka and its tools keep for themselves begin with it; no pattern means them."""


def matches(pattern: str, topic: str) -> bool:
    """Whether the pattern means the topic.

    >>> matches("shop.*", "shop.orders"), matches("shop.*", "shopXorders"), matches("*", "__consumer_offsets")
    (True, False, False)
    """
    return fnmatchcase(topic, pattern) and not topic.startswith(INTERNAL_PREFIX)


def lies_within(pattern: str, allowed: Iterable[str]) -> bool:
    """Whether what the pattern may mean is allowed by one of these patterns, as far as its text says: each topic is
    looked at by itself again.

    >>> lies_within("shop.eu-*", ["shop.*"]), lies_within("*", ["shop.*"])
    (True, False)
    """
    return any(fnmatchcase(pattern, one) for one in allowed)


def overlap(one: str, other: str) -> bool:
    """Whether a topic may be meant by both. A name without `*` and `?` is a pattern too.

    >>> overlap("shop.*", "*.orders"), overlap("shop.*", "shop.orders"), overlap("shop.*", "bank.*")
    (True, True, False)
    """
    # reached[j]: whether the beginning of `one` so far and `other[:j]` have a name in common
    reached = [True] + [False] * len(other)
    for j, there in enumerate(other, 1):
        reached[j] = reached[j - 1] and there == "*"
    for here in one:
        before, reached = reached, [reached[0] and here == "*"]
        for j, there in enumerate(other, 1):
            if "*" in (here, there):
                reached.append(before[j] or reached[j - 1])  # stands for nothing, or for what the other has here
            else:
                reached.append(before[j - 1] and (here == there or "?" in (here, there)))
    return reached[-1]
