"""How a topic that is there is judged by the plan: what must be mended, what is only said, what is as good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.kafka.plan import differences, min_insync_replicas, receiver_topic, system_topics
from app.kafka.topic_spec import RULES, Difference, FoundTopic, Severity, TopicSpec, compare
from app.settings import Settings

SETTINGS = Settings(
    _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own argument
    topic_prefix="s",
    replication_factor=3,
    rows_partitions=12,
    command_partitions=4,
)
PLAN = {spec.name: spec for spec in (*system_topics(SETTINGS), receiver_topic(SETTINGS, "s.events.1.a"))}


def as_planned(spec: TopicSpec) -> FoundTopic:
    return FoundTopic("id", spec.partitions, spec.replication_factor, dict(spec.config))


def judge(name: str, **changes: object) -> list[Difference]:
    """What is said of a topic as planned but for these facts; of settings, with "_" for "."."""
    spec = PLAN[name]
    found = as_planned(spec)
    facts = {key: value for key, value in changes.items() if key in ("partitions", "replicas")}
    config = {key.replace("_", "."): str(value) for key, value in changes.items() if key not in facts}
    return compare([spec], {name: replace(found, config={**found.config, **config}, **facts)})  # type: ignore[arg-type]


def test_topics_as_planned_do_not_differ() -> None:
    found = {name: as_planned(spec) for name, spec in PLAN.items()}

    assert differences(SETTINGS, list(PLAN.values()), found) == []


def test_topic_that_is_missing_is_described() -> None:
    (difference,) = compare([PLAN["s.control"]], {})

    assert (difference.severity, difference.must_be_mended) == (Severity.MISSING, True)
    assert difference.text == (
        "missing (wanted: 1 partition, replication factor 3, cleanup.policy=compact, max.message.bytes=4194304, "
        "min.cleanable.dirty.ratio=0.1, min.insync.replicas=2, segment.ms=3600000)"
    )


@pytest.mark.parametrize(
    ("topic", "changes"),
    [
        ("s.rows", {"retention_ms": -1}),
        ("s.rows", {"retention_ms": 10**12, "max_message_bytes": 10**8}),
        ("s.rows", {"replicas": 5, "min_insync_replicas": 3}),
        ("s.events.1.a", {"partitions": 100}),
        ("s.control", {"segment_ms": 1000, "min_cleanable_dirty_ratio": "0.01"}),
    ],
)
def test_more_than_is_needed_is_no_difference(topic: str, changes: dict[str, object]) -> None:
    assert judge(topic, **changes) == []


@pytest.mark.parametrize(
    ("topic", "changes", "words"),
    [
        ("s.control", {"partitions": 2}, "has 2 partitions, the plan has 1"),
        ("s.control", {"cleanup_policy": "delete"}, "cleanup.policy is delete, the plan has compact"),
        ("s.ledger", {"cleanup_policy": "compact,delete"}, "cleanup.policy is compact,delete, the plan has compact"),
        ("s.events.1.a", {"cleanup_policy": "compact"}, "cleanup.policy is compact, the plan has delete"),
        ("s.rows", {"max_message_bytes": 1048588}, "max.message.bytes is 1048588, the plan has 4194304 at least"),
        ("s.rows", {"replicas": 1}, "min.insync.replicas is 2, and there are 1: nothing can be written"),
    ],
)
def test_what_breaks_a_promise_must_be_mended(topic: str, changes: dict[str, object], words: str) -> None:
    found = [difference for difference in judge(topic, **changes) if difference.must_be_mended]

    assert [(difference.severity, words in difference.text) for difference in found] == [(Severity.BREAKS, True)]


@pytest.mark.parametrize(
    ("topic", "changes", "words"),
    [
        ("s.commands", {"partitions": 7}, "has 7 partitions, the plan has 4"),
        ("s.events.1.a", {"partitions": 1}, "has 1 partitions, the plan has 4 at least"),
        ("s.events.1.a", {"retention_ms": 3600000}, "retention.ms is 3600000, the plan has 604800000 at least"),
        ("s.events.1.a", {"retention_bytes": 10**9}, "retention.bytes is 1000000000, the plan has -1 at least"),
        ("s.rows", {"min_insync_replicas": 1}, "min.insync.replicas is 1, the plan has 2 at least"),
        ("s.rows", {"message_timestamp_type": "CreateTime"}, "message.timestamp.type is CreateTime"),
        ("s.control", {"segment_ms": 604800000}, "segment.ms is 604800000, the plan has 3600000 at most"),
        ("s.rows", {"replicas": 2}, "has replication factor 2, the plan has 3 at least"),
    ],
)
def test_what_weakens_a_promise_is_said(topic: str, changes: dict[str, object], words: str) -> None:
    (difference,) = judge(topic, **changes)

    assert (difference.severity, words in difference.text) == (Severity.DIFFERS, True)


def test_ledger_needs_as_many_partitions_as_rows() -> None:
    """A sink writes the ledger's partition of the number of the rows partition that it owns."""
    found = {name: as_planned(spec) for name, spec in PLAN.items()}
    found["s.ledger"] = replace(found["s.ledger"], partitions=11)

    mended = [d for d in differences(SETTINGS, list(PLAN.values()), found) if d.must_be_mended]

    assert [(d.topic, d.text) for d in mended] == [
        ("s.ledger", "has 11 partitions, and s.rows has 12: they must be as many")
    ]


def test_every_planned_setting_has_a_rule() -> None:
    assert {key for spec in PLAN.values() for key in spec.config} == RULES.keys()


@pytest.mark.parametrize(
    ("replicas", "given", "wanted"), [(1, None, 1), (2, None, 1), (3, None, 2), (5, None, 2), (3, 1, 1), (5, 3, 3)]
)
def test_acknowledged_is_on_two_disks_where_there_are_three(replicas: int, given: int | None, wanted: int) -> None:
    settings = SETTINGS.model_copy(update={"replication_factor": replicas, "min_insync_replicas": given})

    assert min_insync_replicas(settings) == wanted
