"""Commands of the Kafka distribution: kafka-topics.sh and kafka-acls.sh, safe to run again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from app.kafka.acls import Acl, Resource
from app.kafka.formats.grouping import by_resource
from app.kafka.topic_spec import TopicSpec

_OPTIONS = {
    Resource.TOPIC: "--topic",
    Resource.GROUP: "--group",
    Resource.TRANSACTIONAL_ID: "--transactional-id",
}


def topics(specs: Sequence[TopicSpec], bootstrap_servers: str, command_config: str | None = None) -> str:
    """One command for each topic. `command_config` names a file with the client's security."""
    return "".join(
        _line(
            "kafka-topics.sh",
            *_connection(bootstrap_servers, command_config),
            *("--create", "--if-not-exists", "--topic", spec.name, "--partitions", str(spec.partitions)),
            *("--replication-factor", str(spec.replication_factor)),
            *(word for key, value in sorted(spec.config.items()) for word in ("--config", f"{key}={value}")),
        )
        for spec in specs
    )


def acls(allowed: Mapping[str, Sequence[Acl]], bootstrap_servers: str, command_config: str | None = None) -> str:
    """One command for each resource of each principal; `allowed` by principal ("User:gateway")."""
    return "".join(
        _line(
            "kafka-acls.sh",
            *_connection(bootstrap_servers, command_config),
            *("--add", "--allow-principal", principal),
            *(word for operation in operations for word in ("--operation", operation)),
            *(_OPTIONS[kind], name, "--resource-pattern-type", "prefixed" if prefixed else "literal"),
        )
        for principal, some in allowed.items()
        for (kind, name, prefixed), operations in by_resource(some)
    )


def _connection(bootstrap_servers: str, command_config: str | None) -> list[str]:
    config = [] if command_config is None else ["--command-config", command_config]
    return ["--bootstrap-server", bootstrap_servers, *config]


def _line(*words: str) -> str:
    return shlex.join(words) + "\n"
