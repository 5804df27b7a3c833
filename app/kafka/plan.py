"""Which topics there must be, with which settings and why; how they differ from what is there; how to create them.

Topics are created by this explicit plan only, never by the broker's auto-creation, and never altered or deleted here.
They take messages of 4 MiB, and the broker stamps what windows and retention age by (delivery protocol, rules 4 and
24). The plan is pure; the functions that take an admin client ask Kafka.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from enum import StrEnum
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports these without saying so
    AdminClient,
    ConfigResource,
    NewTopic,
)

from app.kafka.client import in_words
from app.kafka.names import Names
from app.kafka.topic_spec import Difference, FoundTopic, Partitions, Severity, TopicSpec, compare
from app.model.errors import ConfigurationError, KafkaUnavailable
from app.model.receiver import Receiver
from app.settings import Settings

_HOUR_MS = 3_600_000
_TIMEOUT_SECONDS = 30
_log = logging.getLogger(__name__)


class Process(StrEnum):
    """Who works with topics: the four processes, and `streams topics` on the command line."""

    GATEWAY = "gateway"
    CONTROL = "control"
    MAPPER = "mapper"
    SINK = "sink"
    CLI = "cli"


def min_insync_replicas(settings: Settings) -> int:
    """On how many replicas a record is before it is acknowledged: as set, else 2 where there are three replicas.

    Of two replicas it is one, since otherwise nothing could be written while one of them restarts.
    """
    return settings.min_insync_replicas or (2 if settings.replication_factor > 2 else 1)


def system_topics(settings: Settings) -> list[TopicSpec]:
    """The topics of an installation, receiver topics apart."""
    names = Names(settings.topic_prefix)
    compacted = {
        **_base(settings),
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.1",
        "segment.ms": "3600000",
    }
    by_broker = {"message.timestamp.type": "LogAppendTime"}

    def spec(
        name: str, partitions: int, config: Mapping[str, str], holds: str, counted: Partitions = Partitions.AS_MADE
    ) -> TopicSpec:
        return TopicSpec(name, partitions, settings.replication_factor, config, holds, counted)

    return [
        spec(
            names.commands,
            settings.command_partitions,
            _deleted(settings),
            "What the API asks of control, by project",
        ),
        spec(
            names.control,
            1,
            compacted,
            "Receivers, exports, replays and tasks; one partition, since all of it has one order",
            Partitions.EXACTLY,
        ),
        spec(
            names.rows,
            settings.rows_partitions,
            {**_deleted(settings, more_hours=24), **by_broker},
            "Rows on their way into tables; an export is in one partition for life",
        ),
        spec(
            names.ledger,
            settings.rows_partitions,
            {**compacted, **by_broker},
            "How far each export is staged, and its batches; as many partitions as `rows`",
        ),
        spec(
            names.dead_letters,
            settings.dead_letter_partitions,
            {**_deleted(settings), **by_broker},
            "Events that could not be mapped, with the reason",
        ),
    ]


def receiver_topic(settings: Settings, name: str) -> TopicSpec:
    """A receiver's topic of raw events; the broker stamps them, so that no sender's clock breaks order or retention."""
    return TopicSpec(
        name,
        settings.receiver_partitions,
        settings.replication_factor,
        {**_deleted(settings), "message.timestamp.type": "LogAppendTime"},
        "Raw events of one receiver",
    )


def topics_of(settings: Settings, process: Process) -> list[TopicSpec]:
    """Those of the system's topics that the process works with. Control has an eye on all, and creates them."""
    names = Names(settings.topic_prefix)
    unused = {
        Process.GATEWAY: {names.rows},
        Process.MAPPER: {names.ledger},
    }.get(process, set())
    return [spec for spec in system_topics(settings) if spec.name not in unused]


def made_receiver_topics(settings: Settings, receivers: Iterable[Receiver]) -> list[TopicSpec]:
    """The topics of these receivers, but not those that were there before and are only read."""
    return [receiver_topic(settings, topic) for topic in sorted({r.topic for r in receivers if not r.is_bound})]


def _base(settings: Settings) -> dict[str, str]:
    return {
        "max.message.bytes": str(settings.max_message_bytes),
        "min.insync.replicas": str(min_insync_replicas(settings)),
    }


def _deleted(settings: Settings, more_hours: float = 0) -> dict[str, str]:
    """Deleted by age alone: a broker that has a limit by size would delete what nobody has read."""
    retention_ms = int((settings.retention_hours + more_hours) * _HOUR_MS)
    return {
        **_base(settings),
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "retention.bytes": "-1",
    }


def differences(settings: Settings, specs: Sequence[TopicSpec], found: Mapping[str, FoundTopic]) -> list[Difference]:
    """How what is there differs from the plan, each topic for itself and `ledger` from `rows`; empty when nothing."""
    names = Names(settings.topic_prefix)
    listed = compare(specs, found)
    rows, ledger = found.get(names.rows), found.get(names.ledger)
    if rows is not None and ledger is not None and rows.partitions != ledger.partitions:
        text = f"has {ledger.partitions} partitions, and {names.rows} has {rows.partitions}: they must be as many"
        listed.append(Difference(names.ledger, Severity.BREAKS, text))
    return listed


def check_topics(admin: AdminClient, settings: Settings, specs: Iterable[TopicSpec]) -> list[Difference]:
    """How the cluster differs from the plan; empty when all is as it must be. Raises KafkaUnavailable."""
    specs = list(specs)
    return differences(settings, specs, find_topics(admin, [spec.name for spec in specs]))


def find_topics(admin: AdminClient, topics: Sequence[str]) -> dict[str, FoundTopic]:
    """Those of these topics that exist, with their settings. Raises KafkaUnavailable."""
    described = dict(_descriptions(admin, topics))
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in described]
    asked = admin.describe_configs(resources, request_timeout=_TIMEOUT_SECONDS) if resources else {}
    configs = {resource.name: future for resource, future in asked.items()}
    return {
        name: FoundTopic(
            str(described[name].topic_id),
            len(described[name].partitions),
            min(len(partition.replicas) for partition in described[name].partitions),
            {key: entry.value for key, entry in config.items()},
        )
        for name, config in _answers(configs, "say the settings of")
    }


def describe_topics(admin: AdminClient, topics: Sequence[str]) -> dict[str, tuple[str, int]]:
    """The id and the number of partitions of each of these topics that exists. Raises KafkaUnavailable."""
    return {name: (str(topic.topic_id), len(topic.partitions)) for name, topic in _descriptions(admin, topics)}


def describe_known(admin: AdminClient, topics: Sequence[str]) -> dict[str, tuple[str, int] | None]:
    """As `describe_topics`, with None for those that do not exist, and without those that Kafka says nothing about."""
    found: dict[str, tuple[str, int] | None] = {}
    if not topics:
        return found
    asked = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_SECONDS)
    for name, future in asked.items():
        try:
            answers = dict(_answers({name: future}, "describe", but=KafkaError.UNKNOWN_TOPIC_OR_PART))
        except KafkaUnavailable as trouble:
            _log.warning("%s", trouble.message)
            continue
        found[name] = (str(answers[name].topic_id), len(answers[name].partitions)) if answers else None
    return found


def _descriptions(admin: AdminClient, topics: Sequence[str]) -> Iterator[tuple[str, Any]]:
    if topics:
        asked = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_SECONDS)
        yield from _answers(asked, "describe", but=KafkaError.UNKNOWN_TOPIC_OR_PART)


def create_topics(admin: AdminClient, specs: Iterable[TopicSpec]) -> list[str]:
    """Create those of the plan that are missing; the names of the topics created. Safe to call twice.

    Raises KafkaUnavailable.
    """
    new = [NewTopic(spec.name, spec.partitions, spec.replication_factor, config=dict(spec.config)) for spec in specs]
    asked = admin.create_topics(new, request_timeout=_TIMEOUT_SECONDS) if new else {}
    created = [name for name, _ in _answers(asked, "create", but=KafkaError.TOPIC_ALREADY_EXISTS)]
    _await_known(admin, created)
    return created


def _answers(asked: Mapping[str, Future[Any]], doing: str, *, but: int | None = None) -> Iterator[tuple[str, Any]]:
    """What Kafka answers about each topic, without those that it refuses with the error code `but`.

    Raises KafkaUnavailable for what else it refuses, and when it does not answer in time; `doing` says what it does
    not do then.
    """
    for name, future in asked.items():
        try:
            answer = future.result(_TIMEOUT_SECONDS + 1)  # librdkafka gives up before, and says why
        except TimeoutError as error:
            raise KafkaUnavailable(f"Kafka does not {doing} topic {name} within {_TIMEOUT_SECONDS:g} s.") from error
        except KafkaException as error:
            if error.args[0].code() == but:
                continue
            raise KafkaUnavailable(f"Kafka does not {doing} topic {name}: {in_words(error.args[0])}") from error
        yield name, answer


def create_missing(admin: AdminClient, specs: Sequence[TopicSpec]) -> list[str]:
    """As `create_topics`, but who may not create topics is refused only where one is missing."""
    there = describe_topics(admin, [spec.name for spec in specs])
    return create_topics(admin, [spec for spec in specs if spec.name not in there])


def _await_known(admin: AdminClient, topics: list[str]) -> None:
    """Wait until the broker knows what its controller has just created: it hears of it a moment later."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while missing := set(topics) - set(describe_topics(admin, topics)):
        if time.monotonic() > deadline:
            raise KafkaUnavailable(f"Kafka created these topics, but does not show them: {', '.join(sorted(missing))}")
        time.sleep(0.02)


def ensure_topics(admin: AdminClient, settings: Settings, specs: Iterable[TopicSpec]) -> None:
    """Create what is missing (STREAMS_TOPICS=auto), or refuse and say what is missing or must be mended (managed).

    Raises ConfigurationError that names each such topic; what merely differs is said in the log.
    """
    specs = list(specs)
    if settings.topics == "auto":
        create_missing(admin, specs)
        return
    found = check_topics(admin, settings, specs)
    for difference in found:
        if not difference.must_be_mended:
            _log.warning("topic %s %s", difference.topic, difference.text)
    if any(difference.must_be_mended for difference in found):
        raise ConfigurationError(to_be_mended(found))


def to_be_mended(found: Iterable[Difference]) -> str:
    """What the operators have to do first, where topics are theirs."""
    problems = "; ".join(f"{d.topic} {d.text}" for d in found if d.must_be_mended)
    return (
        f"STREAMS_TOPICS=managed, and topics are not as they must be: {problems}. "
        "Mend them (`streams topics export` prints them, `streams topics check` compares) or set STREAMS_TOPICS=auto."
    )
