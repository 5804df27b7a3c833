"""What each process must be allowed in Kafka, and nothing more. Pure.

Kafka implies some of it: who may read, write or delete may also describe. What is implied is not listed. Producers need
no more for being idempotent than to write into their topic (Kafka 3.0 and later). A test on a broker with the standard
authorizer shows that this suffices, and that each line is used; another takes each away and names what fails then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.kafka.client import READER
from app.kafka.names import Names
from app.kafka.plan import Process
from app.model.errors import ConfigurationError
from app.settings import Settings


class Resource(StrEnum):
    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(StrEnum):
    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DELETE = "Delete"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True)
class Acl:
    """One thing that is allowed, from any host. `name` is a prefix where it is `prefixed`; `why` is for people."""

    resource: Resource
    name: str
    prefixed: bool
    operation: Operation
    why: str


def acls(settings: Settings, process: Process, existing: Sequence[str] = ()) -> list[Acl]:
    """All that the process needs with these settings. `existing` are topics of others that receivers are bound to, and
    patterns of such. Raises ConfigurationError for a pattern that Kafka cannot allow.
    """
    names = _Words(Names(settings.topic_prefix))
    makes_topics = settings.topics == "auto"
    return {
        Process.GATEWAY: lambda: _gateway(names, existing),
        Process.CONTROL: lambda: _control(names, makes_topics, existing),
        Process.MAPPER: lambda: _mapper(names, existing),
        Process.SINK: lambda: _sink(names),
        Process.CLI: lambda: _cli(names, makes_topics),
    }[process]()


@dataclass(frozen=True)
class _Words:
    """Short ways to say one entry."""

    names: Names

    def topic(self, name: str, operation: Operation, why: str) -> Acl:
        return Acl(Resource.TOPIC, name, False, operation, why)

    def existing(self, names: Sequence[str], operation: Operation, why: str) -> list[Acl]:
        found: dict[tuple[str, bool], Acl] = {}
        for name in names:
            place, wider = _resource(name)
            more = f" (more than {name}: Kafka knows prefixes alone)" if wider else ""
            found.setdefault(place, Acl(Resource.TOPIC, *place, operation, why + more))
        return list(found.values())

    def topics(self, operation: Operation, why: str) -> Acl:
        return Acl(Resource.TOPIC, f"{self.names.prefix}.", True, operation, why)

    def events(self, operation: Operation, why: str) -> Acl:
        return Acl(Resource.TOPIC, self.names.events_prefix, True, operation, why)

    def group(self, name: str, operation: Operation, why: str) -> Acl:
        return Acl(Resource.GROUP, name, False, operation, why)

    def replay_groups(self, operation: Operation, why: str) -> Acl:
        return Acl(Resource.GROUP, self.names.replay_group(""), True, operation, why)

    def transactions(self, process: str, why: str) -> Acl:
        prefix = self.names.transactional_id_prefix(process)
        return Acl(Resource.TRANSACTIONAL_ID, prefix, True, Operation.WRITE, why)

    @property
    def reader(self) -> Acl:
        why = "nothing fails without it: librdkafka looks for its coordinator, and each refusal is logged by the broker"
        return self.group(f"{self.names.prefix}-{READER}", Operation.DESCRIBE, why)

    @property
    def configuration(self) -> Acl:
        return self.topic(self.names.control, Operation.READ, "follow the configuration")

    @property
    def settings_of_topics(self) -> Acl:
        why = "compare topics with the plan, and know when retention overtakes what waits"
        return self.topics(Operation.DESCRIBE_CONFIGS, why)


def _resource(pattern: str) -> tuple[tuple[str, bool], bool]:
    """The least that Kafka can allow for a topic or a pattern of topics: its name, whether it is a prefix, and whether
    it means more than the pattern. Raises ConfigurationError when that would be all topics, unless they are meant.

    >>> _resource("orders"), _resource("shop.*"), _resource("shop.?")
    ((('orders', False), False), (('shop.', True), False), (('shop.', True), True))
    """
    prefix = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if pattern == "*":
        return ("*", False), False
    if not prefix:
        raise ConfigurationError(
            f'"{pattern}" has no beginning that Kafka could allow: name the topics, or "*" to allow all there are.'
        )
    return (prefix, prefix != pattern), pattern.rstrip("*") != prefix


def _gateway(words: _Words, existing: Sequence[str]) -> list[Acl]:
    names = words.names
    return [
        words.configuration,
        words.topic(names.commands, Operation.WRITE, "ask control for changes"),
        words.topic(names.ledger, Operation.READ, "list batches, and compute quotas"),
        words.topic(names.dead_letters, Operation.READ, "list dead letters, and try their requeue"),
        words.events(Operation.WRITE, "store events"),
        words.events(Operation.READ, "map the newest events on trial"),
        *words.existing(existing, Operation.READ, "map the newest events on trial"),
        words.settings_of_topics,
        words.replay_groups(Operation.DESCRIBE, "show how far replays are"),
        words.reader,
    ]


def _control(words: _Words, makes_topics: bool, existing: Sequence[str]) -> list[Acl]:
    names = words.names
    made = [
        words.topics(Operation.CREATE, "make topics that are missing (STREAMS_TOPICS=auto)"),
        words.events(Operation.DELETE, "delete a receiver's topic when asked to (STREAMS_TOPICS=auto)"),
    ]
    return [
        words.configuration,
        words.topic(names.control, Operation.WRITE, "write the configuration down"),
        words.topic(names.commands, Operation.READ, "take commands"),
        words.topics(Operation.DESCRIBE, "see which topics there are, and where they end"),
        *words.existing(existing, Operation.DESCRIBE, "see where it ends"),
        words.settings_of_topics,
        *(made if makes_topics else ()),
        words.group(names.group("control"), Operation.READ, "share the commands among control processes"),
        words.replay_groups(
            Operation.DELETE, "forget how far a replay was that is over (Kafka does so by itself after some days)"
        ),
        words.reader,
        words.transactions("control", "write changes all or nothing, and fence earlier owners"),
    ]


def _mapper(words: _Words, existing: Sequence[str]) -> list[Acl]:
    names = words.names
    return [
        words.configuration,
        words.topic(names.commands, Operation.WRITE, "have exports suspended that cannot keep up"),
        words.topic(names.rows, Operation.WRITE, "hand rows over"),
        words.topic(names.dead_letters, Operation.READ, "requeue dead letters"),
        words.events(Operation.READ, "take events"),
        *words.existing(existing, Operation.READ, "take events"),
        words.settings_of_topics,
        words.group(names.group("mapper"), Operation.READ, "share the events among mappers"),
        words.replay_groups(Operation.READ, "remember how far a replay is"),
        words.reader,
    ]


def _sink(words: _Words) -> list[Acl]:
    names = words.names
    return [
        words.configuration,
        words.topic(names.commands, Operation.WRITE, "report what is at its end"),
        words.topic(names.rows, Operation.READ, "take rows"),
        words.topic(names.ledger, Operation.READ, "go on where the last owner was"),
        words.topic(names.ledger, Operation.WRITE, "write down what is staged"),
        words.topic(names.dead_letters, Operation.WRITE, "store what could not be mapped"),
        words.settings_of_topics,
        words.group(names.group("sink"), Operation.READ, "share the rows among sinks"),
        words.reader,
        words.transactions("sink", "write the ledger all or nothing, and fence earlier owners"),
    ]


def _cli(words: _Words, makes_topics: bool) -> list[Acl]:
    created = [words.topics(Operation.CREATE, "`streams topics apply`")]
    return [
        words.topic(words.names.control, Operation.READ, "know the receivers whose topics are compared"),
        words.topics(Operation.DESCRIBE, "`streams topics check`"),
        words.topics(Operation.DESCRIBE_CONFIGS, "`streams topics check`"),
        *(created if makes_topics else ()),
        words.reader,
    ]
