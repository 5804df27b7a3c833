"""Which topics there must be, with which settings; how they differ from what is there; how to create them.

Topics are created by this explicit plan only, never by the broker's auto-creation, and never altered or deleted here.
They take messages of 4 MiB, and the broker stamps what windows and retention age by (delivery protocol, rules 4 and
24).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports these two without saying so
    AdminClient,
    ConfigResource,
    NewTopic,
)

from app.kafka.names import Names
from app.model.errors import ConfigurationError, KafkaUnavailable
from app.settings import Settings

_HOUR_MS = 3_600_000
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class TopicSpec:
    """One topic as it must be."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """What is missing or different about one topic, in words."""

    topic: str
    missing: bool
    text: str


def system_topics(settings: Settings) -> list[TopicSpec]:
    """The topics of an installation, receiver topics apart."""
    names = Names(settings.topic_prefix)
    retention = str(int(settings.retention_hours * _HOUR_MS))
    rows_retention = str(int((settings.retention_hours + 24) * _HOUR_MS))
    base = {"max.message.bytes": str(settings.max_message_bytes)}
    compacted = {**base, "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": "3600000"}
    deleted = {**base, "cleanup.policy": "delete", "retention.ms": retention}

    def spec(name: str, partitions: int, config: Mapping[str, str]) -> TopicSpec:
        return TopicSpec(name, partitions, settings.replication_factor, config)

    return [
        spec(names.commands, settings.command_partitions, deleted),
        spec(names.control, 1, compacted),
        spec(
            names.rows,
            settings.rows_partitions,
            {**deleted, "retention.ms": rows_retention, "message.timestamp.type": "LogAppendTime"},
        ),
        spec(names.ledger, settings.rows_partitions, {**compacted, "message.timestamp.type": "LogAppendTime"}),
        spec(
            names.dead_letters,
            settings.dead_letter_partitions,
            {**deleted, "message.timestamp.type": "LogAppendTime"},
        ),
    ]


def receiver_topic(settings: Settings, name: str) -> TopicSpec:
    """A receiver's topic of raw events; the broker stamps them, so that no sender's clock breaks order or retention."""
    return TopicSpec(
        name,
        settings.receiver_partitions,
        settings.replication_factor,
        {
            "cleanup.policy": "delete",
            "retention.ms": str(int(settings.retention_hours * _HOUR_MS)),
            "max.message.bytes": str(settings.max_message_bytes),
            "message.timestamp.type": "LogAppendTime",
        },
    )


def check_topics(admin: AdminClient, specs: Iterable[TopicSpec]) -> list[Difference]:
    """How the cluster differs from the plan; empty when all is as it must be."""
    specs = list(specs)
    found = describe_topics(admin, [spec.name for spec in specs])
    resources = [ConfigResource(ConfigResource.Type.TOPIC, spec.name) for spec in specs if spec.name in found]
    configs = {
        resource.name: future.result(_TIMEOUT_SECONDS)
        for resource, future in (admin.describe_configs(resources).items() if resources else ())
    }
    differences = []
    for spec in specs:
        if spec.name not in found:
            differences.append(Difference(spec.name, True, f"missing (wanted: {describe(spec)})"))
            continue
        _, partitions = found[spec.name]
        if partitions != spec.partitions:
            differences.append(
                Difference(spec.name, False, f"has {partitions} partitions, the plan has {spec.partitions}")
            )
        for key, wanted in spec.config.items():
            value = configs[spec.name][key].value
            if value != wanted:
                differences.append(Difference(spec.name, False, f"{key} is {value}, the plan has {wanted}"))
    return differences


def describe(spec: TopicSpec) -> str:
    """One line about a topic as it must be."""
    config = ", ".join(f"{key}={value}" for key, value in sorted(spec.config.items()))
    return f"{spec.partitions} partitions, replication {spec.replication_factor}, {config}"


def describe_topics(admin: AdminClient, topics: list[str]) -> dict[str, tuple[str, int]]:
    """The id and the number of partitions of each of these topics that exists. Raises KafkaUnavailable."""
    if not topics:
        return {}
    found = {}
    for name, future in admin.describe_topics(TopicCollection(topics), request_timeout=_TIMEOUT_SECONDS).items():
        try:
            description = future.result(_TIMEOUT_SECONDS)
        except TimeoutError as error:
            raise KafkaUnavailable(f"Kafka does not describe topic {name} within {_TIMEOUT_SECONDS:g} s.") from error
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise KafkaUnavailable(f"Kafka does not describe topic {name}: {error.args[0].str()}") from error
        found[name] = (str(description.topic_id), len(description.partitions))
    return found


def create_topics(admin: AdminClient, specs: Iterable[TopicSpec]) -> list[str]:
    """Create those of the plan that are missing; the names of the topics created. Safe to call twice."""
    new = [NewTopic(spec.name, spec.partitions, spec.replication_factor, config=dict(spec.config)) for spec in specs]
    created = []
    for name, future in (admin.create_topics(new, request_timeout=_TIMEOUT_SECONDS) if new else {}).items():
        try:
            future.result(_TIMEOUT_SECONDS)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise KafkaUnavailable(f"Kafka does not create topic {name}: {error.args[0].str()}") from error
    _await_known(admin, created)
    return created


def _await_known(admin: AdminClient, topics: list[str]) -> None:
    """Wait until the broker knows what its controller has just created: it hears of it a moment later."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while missing := set(topics) - set(describe_topics(admin, topics)):
        if time.monotonic() > deadline:
            raise KafkaUnavailable(f"Kafka created these topics, but does not show them: {', '.join(sorted(missing))}")
        time.sleep(0.02)


def ensure_topics(admin: AdminClient, settings: Settings, specs: Iterable[TopicSpec]) -> None:
    """Create what is missing (STREAMS_TOPICS=auto) or refuse and say what is (managed).

    Raises ConfigurationError that names every missing topic; a topic that merely differs is left to `topics check`.
    """
    specs = list(specs)
    if settings.topics == "auto":
        create_topics(admin, specs)
        return
    missing = [difference for difference in check_topics(admin, specs) if difference.missing]
    if missing:
        raise ConfigurationError(
            "STREAMS_TOPICS=managed, and these topics are not there: "
            + "; ".join(f"{d.topic} {d.text}" for d in missing)
            + ". Create them (see `streams topics plan`) or set STREAMS_TOPICS=auto."
        )
