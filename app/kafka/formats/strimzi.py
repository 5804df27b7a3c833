"""Strimzi's resources: a KafkaTopic for each topic, a KafkaUser for each principal. Source: Strimzi's API reference.

The API version v1 is Strimzi 0.49's and later; operators before that take v1beta2, with the same fields.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from app.kafka.acls import Acl, Resource
from app.kafka.formats.grouping import by_resource
from app.kafka.topic_spec import TopicSpec

API_VERSION = "v1"
_KINDS = {Resource.TOPIC: "topic", Resource.GROUP: "group", Resource.TRANSACTIONAL_ID: "transactionalId"}


def topics(specs: Sequence[TopicSpec], cluster: str, version: str = API_VERSION) -> str:
    """YAML documents, for the Kafka cluster with this name."""
    return _documents([_topic(spec, cluster, version) for spec in specs])


def users(
    allowed: Mapping[str, Sequence[Acl]],
    cluster: str,
    version: str = API_VERSION,
    authentication: str = "scram-sha-512",
) -> str:
    """YAML documents; `allowed` by principal ("User:" and a name that Kubernetes takes too)."""
    return _documents(
        [
            {
                **_head("KafkaUser", kubernetes_name(principal.removeprefix("User:")), cluster, version),
                "spec": {
                    "authentication": {"type": authentication},
                    "authorization": {"type": "simple", "acls": _rules(some)},
                },
            }
            for principal, some in allowed.items()
        ]
    )


def kubernetes_name(name: str) -> str:
    """Itself where Kubernetes takes it, else one like it with a checksum of it, since two must not become one.

    >>> kubernetes_name("streams.events.1.a"), kubernetes_name("My_Streams.rows")
    ('streams.events.1.a', 'my-streams.rows-441bd4a3')
    """
    plain = re.sub(r"\.(?=\.|$)|^\.", "", re.sub(r"[^a-z0-9.-]", "-", name.lower())).strip("-.") or "topic"
    return name if plain == name else f"{plain}-{zlib.crc32(name.encode()):08x}"


def _topic(spec: TopicSpec, cluster: str, version: str) -> dict[str, Any]:
    name = kubernetes_name(spec.name)
    named = {} if name == spec.name else {"topicName": spec.name}
    return {
        **_head("KafkaTopic", name, cluster, version),
        "spec": {
            **named,
            "partitions": spec.partitions,
            "replicas": spec.replication_factor,
            "config": {key: _value(value) for key, value in sorted(spec.config.items())},
        },
    }


def _head(kind: str, name: str, cluster: str, version: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"strimzi.io/cluster": cluster}}
    return {"apiVersion": f"kafka.strimzi.io/{version}", "kind": kind, "metadata": metadata}


def _value(text: str) -> int | str:
    """Numbers as numbers, as everybody writes them there; what is no integer stays a text."""
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _rules(some: Sequence[Acl]) -> list[dict[str, Any]]:
    return [
        {
            "resource": {"type": _KINDS[kind], "name": name, "patternType": "prefix" if prefixed else "literal"},
            "operations": operations,
        }
        for (kind, name, prefixed), operations in by_resource(some)
    ]


def _documents(documents: Sequence[Mapping[str, Any]]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)
