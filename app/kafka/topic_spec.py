"""A topic as it must be, and how one that is there differs from it. Pure.

What differs is judged by what it does: a topic that is missing or that breaks a promise must be mended before a
process works with it; one that only weakens a promise, or costs time, is said. More than is needed is no difference: a
topic may keep more, take larger records, and have more replicas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Partitions(StrEnum):
    """How a number of partitions that is not the planned one is judged."""

    EXACTLY = "exactly"
    """Another number breaks a promise."""
    AS_MADE = "as made"
    """The program takes the number that it finds, which stays for life; that it is another one is said."""
    AT_LEAST = "at least"
    """More are as good."""


@dataclass(frozen=True)
class TopicSpec:
    """One topic as it must be. `holds` says in words what is in it."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str] = field(default_factory=dict)
    holds: str = ""
    counted: Partitions = Partitions.AT_LEAST


@dataclass(frozen=True)
class FoundTopic:
    """One topic as Kafka has it: replicas of the partition that has the fewest, and all its settings."""

    topic_id: str
    partitions: int
    replicas: int
    config: Mapping[str, str | None] = field(default_factory=dict)


class Severity(StrEnum):
    MISSING = "missing"
    BREAKS = "breaks"
    """A promise does not hold, or nothing works."""
    DIFFERS = "differs"
    """It works; a promise is weaker, or a start is slower."""


@dataclass(frozen=True)
class Difference:
    """What is missing or different about one topic, in words."""

    topic: str
    severity: Severity
    text: str

    @property
    def missing(self) -> bool:
        return self.severity is Severity.MISSING

    @property
    def must_be_mended(self) -> bool:
        """Before a process may work with the topic."""
        return self.severity is not Severity.DIFFERS


@dataclass(frozen=True)
class Rule:
    """How a setting is judged: `fits(found, wanted)`, and what another value does."""

    fits: Callable[[str, str], bool]
    severity: Severity
    words: str
    why: str


def _number(text: str) -> float:
    """-1 is "no limit" where Kafka counts bytes and milliseconds."""
    value = float(text)
    return math.inf if value == -1 else value


def _at_least(found: str, wanted: str) -> bool:
    return _number(found) >= _number(wanted)


def _at_most(found: str, wanted: str) -> bool:
    return _number(found) <= _number(wanted)


def _the_same(found: str, wanted: str) -> bool:
    return found == wanted


RULES: Mapping[str, Rule] = {
    "cleanup.policy": Rule(
        _the_same,
        Severity.BREAKS,
        "",
        "with another one Kafka deletes what must stay, or refuses records without a key",
    ),
    "max.message.bytes": Rule(
        _at_least,
        Severity.BREAKS,
        " at least",
        "a large event, or the rows of one, would not fit and hold up all behind it",
    ),
    "message.timestamp.type": Rule(
        _the_same,
        Severity.DIFFERS,
        "",
        "a writer's wrong clock could close windows, or let retention delete events at once",
    ),
    "min.cleanable.dirty.ratio": Rule(
        _at_most, Severity.DIFFERS, " at most", "every start would read more of the log than it needs"
    ),
    "min.insync.replicas": Rule(
        _at_least, Severity.DIFFERS, " at least", "what is acknowledged may be on one disk only, and lost with it"
    ),
    "retention.bytes": Rule(
        _at_least, Severity.DIFFERS, " at least", "a burst could delete events before they are in their tables"
    ),
    "retention.ms": Rule(
        _at_least, Severity.DIFFERS, " at least", "events are kept for less time while a table cannot be written"
    ),
    "segment.ms": Rule(
        _at_most, Severity.DIFFERS, " at most", "compaction begins later, and every start reads more of the log"
    ),
}
"""Of every setting that a plan may have. `words` stand behind the wanted value."""


def describe(spec: TopicSpec) -> str:
    """One line about a topic as it must be."""
    config = ", ".join(f"{key}={value}" for key, value in sorted(spec.config.items()))
    count = "1 partition" if spec.partitions == 1 else f"{spec.partitions} partitions"
    return f"{count}, replication factor {spec.replication_factor}, {config}"


def compare(specs: Iterable[TopicSpec], found: Mapping[str, FoundTopic]) -> list[Difference]:
    """How what is there differs from the plan; empty when all is as it must be."""
    return [
        difference
        for spec in specs
        for difference in (_compare_one(spec, found[spec.name]) if spec.name in found else (_missing(spec),))
    ]


def _missing(spec: TopicSpec) -> Difference:
    return Difference(spec.name, Severity.MISSING, f"missing (wanted: {describe(spec)})")


def _compare_one(spec: TopicSpec, found: FoundTopic) -> list[Difference]:
    differences = [*_partitions(spec, found), *_replicas(spec, found)]
    for key, wanted in sorted(spec.config.items()):
        value, rule = found.config.get(key), RULES[key]
        if value is not None and not rule.fits(value, wanted):
            text = f"{key} is {value}, the plan has {wanted}{rule.words}: {rule.why}"
            differences.append(Difference(spec.name, rule.severity, text))
    return differences


def _partitions(spec: TopicSpec, found: FoundTopic) -> Sequence[Difference]:
    enough = spec.counted is Partitions.AT_LEAST and found.partitions >= spec.partitions
    if enough or found.partitions == spec.partitions:
        return ()
    words = " at least" if spec.counted is Partitions.AT_LEAST else ""
    severity = Severity.BREAKS if spec.counted is Partitions.EXACTLY else Severity.DIFFERS
    return (
        Difference(spec.name, severity, f"has {found.partitions} partitions, the plan has {spec.partitions}{words}"),
    )


def _replicas(spec: TopicSpec, found: FoundTopic) -> list[Difference]:
    differences = []
    if found.replicas < spec.replication_factor:
        text = f"has replication factor {found.replicas}, the plan has {spec.replication_factor} at least"
        differences.append(Difference(spec.name, Severity.DIFFERS, text))
    in_sync = found.config.get("min.insync.replicas")
    if in_sync is not None and int(in_sync) > found.replicas:
        text = f"min.insync.replicas is {in_sync}, and there are {found.replicas}: nothing can be written"
        differences.append(Difference(spec.name, Severity.BREAKS, text))
    return differences
