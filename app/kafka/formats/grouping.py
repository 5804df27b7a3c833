"""ACLs by what they are about: the tools take several operations on one resource at once."""

from __future__ import annotations

from collections.abc import Iterable

from app.kafka.acls import Acl, Resource

About = tuple[Resource, str, bool]
"""A kind of resource, a name, and whether the name is a prefix."""


def by_resource(some: Iterable[Acl]) -> list[tuple[About, list[str]]]:
    """The operations on each resource, in the order in which they are listed, each once."""
    found: dict[About, list[str]] = {}
    for acl in some:
        operations = found.setdefault((acl.resource, acl.name, acl.prefixed), [])
        if acl.operation not in operations:
            operations.append(acl.operation.value)
    return list(found.items())
