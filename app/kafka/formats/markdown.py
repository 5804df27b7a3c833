"""Tables for documents: the topics, and what each process must be allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.kafka.acls import Acl
from app.kafka.topic_spec import TopicSpec


def topics(specs: Sequence[TopicSpec]) -> str:
    """What they hold and how they are made."""
    rows = [
        (
            f"`{spec.name}`",
            spec.holds,
            str(spec.partitions),
            ", ".join(f"`{key}={value}`" for key, value in sorted(spec.config.items())),
        )
        for spec in specs
    ]
    return _table(("topic", "what is in it", "partitions", "settings"), rows)


def acls(allowed: Mapping[str, Sequence[Acl]]) -> str:
    """By principal or process."""
    rows = [
        (
            who,
            f"{acl.resource.value} `{acl.name}{'*' if acl.prefixed else ''}`",
            acl.operation.value,
            acl.why,
        )
        for who, some in allowed.items()
        for acl in some
    ]
    return _table(("who", "resource", "operation", "why"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
