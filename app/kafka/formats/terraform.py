"""Terraform resources of the provider Mongey/kafka, which speaks Kafka's own protocol. Source: its documentation."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence

from app.kafka.acls import Acl, Resource
from app.kafka.topic_spec import TopicSpec

_PROVIDER = """\
terraform {
  required_providers {
    kafka = {
      source = "Mongey/kafka"
    }
  }
}
"""
_KINDS = {Resource.TOPIC: "Topic", Resource.GROUP: "Group", Resource.TRANSACTIONAL_ID: "TransactionalID"}


def topics(specs: Sequence[TopicSpec]) -> str:
    return "\n".join([_PROVIDER, *map(_topic, specs)])


def acls(allowed: Mapping[str, Sequence[Acl]]) -> str:
    """`allowed` by principal ("User:gateway")."""
    return "\n".join([_PROVIDER, *(_acl(principal, acl) for principal, some in allowed.items() for acl in some)])


def _topic(spec: TopicSpec) -> str:
    config = "".join(f"    {_text(key)} = {_text(value)}\n" for key, value in sorted(spec.config.items()))
    return (
        f'resource "kafka_topic" {_text(label(spec.name))} {{\n'
        f"  name               = {_text(spec.name)}\n"
        f"  partitions         = {spec.partitions}\n"
        f"  replication_factor = {spec.replication_factor}\n"
        f"  config = {{\n{config}  }}\n"
        "  lifecycle {\n    prevent_destroy = true\n  }\n"
        "}\n"
    )


def _acl(principal: str, acl: Acl) -> str:
    kind, pattern = _KINDS[acl.resource], "Prefixed" if acl.prefixed else "Literal"
    name = label(f"{principal.removeprefix('User:')}_{kind}_{acl.name}_{pattern}_{acl.operation}")
    return (
        f'resource "kafka_acl" {_text(name)} {{\n'
        f"  resource_type                = {_text(kind)}\n"
        f"  resource_name                = {_text(acl.name)}\n"
        f"  resource_pattern_type_filter = {_text(pattern)}\n"
        f"  acl_principal                = {_text(principal)}\n"
        '  acl_host                     = "*"\n'
        f"  acl_operation                = {_text(acl.operation.value)}\n"
        '  acl_permission_type          = "Allow"\n'
        "}\n"
    )


def label(name: str) -> str:
    """A name that Terraform takes for a resource; what had to be changed has a checksum, since two must not become one.

    >>> label("streams.dead-letters")
    'streams_dead-letters-7257c129'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
    return plain if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"


def _text(text: str) -> str:
    """A string literal: as JSON's, but that "${" and "%{" begin a template."""
    return re.sub(r"([$%])(?=\{)", r"\1\1", json.dumps(text))
