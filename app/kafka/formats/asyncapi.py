"""An AsyncAPI 3.0 document of an installation: its topics, the records in them, and which process has to do with them.

The topics are the plan's, the records the codecs', who reads and writes is the list of ACLs. The Avro schemas are
referred to, not copied. Source: AsyncAPI 3.0.0, its Kafka bindings 0.5.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from app import __version__
from app.kafka.acls import Operation, Resource, acls
from app.kafka.codec import (
    Codec,
    batch_codec,
    command_codec,
    control_codec,
    dead_letter_codec,
    rows_codec,
    state_codec,
)
from app.kafka.names import Names
from app.kafka.plan import Process, receiver_topic, system_topics
from app.kafka.topic_spec import TopicSpec
from app.model.event import ID_HEADER, IP_HEADER
from app.settings import Settings

SCHEMAS = "../schemas"
"""Where the Avro schemas are, as seen from docs/."""
AVRO = "application/vnd.apache.avro+json;version=1.9.0"
_BINDING = "0.5.0"
_ABOUT = (
    "The topics of an installation, and the records in them. Events are bytes with headers. All other records are "
    "Avro's single-object encoding: the two bytes C3 01, the CRC-64-AVRO fingerprint of the writer's schema in 8 bytes "
    "(x-header has these ten as this version writes them), and the value. Read committed records only. Others may "
    "write into topics of events; all other topics are the installation's own, for others to read at most."
)
_ACTIONS = {Operation.READ: "receive", Operation.WRITE: "send"}


@dataclass(frozen=True)
class _Record:
    """One kind of record, and what its key is in words. Without a codec it is an event or a tombstone."""

    name: str
    key: str
    about: str
    codec: Codec[Any] | None = None


@dataclass(frozen=True)
class _Channel:
    """A topic, by what its name begins with or is in the list of ACLs, and the records in it."""

    allowed_as: str
    spec: TopicSpec
    records: Sequence[_Record]


_EVENT = _Record("event", "Not looked at, and may be missing.", "One event; the value is its body, byte for byte.")
_TOMBSTONE = _Record(
    "tombstone",
    'That of the record which it ends; in the ledger also "owner", by which a sink takes a partition over.',
    "No value: what had this key is no more.",
)


def document(settings: Settings, schemas: str = SCHEMAS) -> str:
    """YAML. `schemas` is the path or URL of the folder of Avro schemas, as seen from where the document will be."""
    channels = _channels(settings)
    records = {record.name: record for channel in channels.values() for record in channel.records}
    content = {
        "asyncapi": "3.0.0",
        "info": {"title": "Data Streams", "version": __version__, "description": _ABOUT},
        "defaultContentType": "avro/binary",
        "channels": {name: _channel(channel) for name, channel in channels.items()},
        "operations": dict(_operations(settings, channels)),
        "components": {"messages": {name: _message(record, schemas) for name, record in records.items()}},
    }
    return yaml.safe_dump(content, sort_keys=False, width=120)


def _channels(settings: Settings) -> dict[str, _Channel]:
    names = Names(settings.topic_prefix)
    an_export = "The export's uid."
    records = {
        names.commands: [_avro(command_codec, "The project's id.")],
        names.control: [_avro(control_codec, "<kind>:<what it is of>, such as export:1234/clicks/all."), _TOMBSTONE],
        names.rows: [_avro(rows_codec, an_export)],
        names.ledger: [
            _avro(state_codec, an_export),
            _avro(batch_codec, "<uid of the export>/<id of the batch>"),
            _TOMBSTONE,
        ],
        names.dead_letters: [_avro(dead_letter_codec, "<project>/<receiver>/<export>")],
    }
    events = receiver_topic(settings, names.events("{project}", "{receiver}"))
    return {
        "events": _Channel(names.events_prefix, events, [_EVENT]),
        **{
            spec.name.removeprefix(f"{names.prefix}."): _Channel(spec.name, spec, records[spec.name])
            for spec in system_topics(settings)
        },
    }


def _avro(codec: Codec[Any], key: str) -> _Record:
    return _Record(codec.name, key, codec.schema["doc"], codec)


def _channel(channel: _Channel) -> dict[str, Any]:
    spec = channel.spec
    parameters = {"project": {"description": "Its id."}, "receiver": {"description": "Its id within the project."}}
    return {
        "address": spec.name,
        "description": f"{spec.holds}.",
        **({"parameters": parameters} if "{" in spec.name else {}),
        "messages": {record.name: {"$ref": f"#/components/messages/{record.name}"} for record in channel.records},
        "bindings": {
            "kafka": {
                "partitions": spec.partitions,
                "replicas": spec.replication_factor,
                "topicConfiguration": {key: _setting(key, value) for key, value in sorted(spec.config.items())},
                "bindingVersion": _BINDING,
            }
        },
    }


def _setting(key: str, value: str) -> Any:
    """As the binding has it: policies are a list, numbers are numbers."""
    if key == "cleanup.policy":
        return value.split(",")
    return int(value) if re.fullmatch(r"-?\d+", value) else value


def _operations(settings: Settings, channels: Mapping[str, _Channel]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One for each process and each topic that it must be allowed to read or write."""
    names = {channel.allowed_as: name for name, channel in channels.items()}
    for process in Process:
        for acl in acls(settings, process):
            if acl.resource is Resource.TOPIC and acl.operation in _ACTIONS and acl.name in names:
                action, name = _ACTIONS[acl.operation], names[acl.name]
                yield (
                    f"{process.value}-{action}-{name}",
                    {
                        "action": action,
                        "channel": {"$ref": f"#/channels/{name}"},
                        "title": f"{process.value}: {acl.why}",
                    },
                )


def _message(record: _Record, schemas: str) -> dict[str, Any]:
    return {
        "summary": record.about,
        **_content(record, schemas),
        "bindings": {
            "kafka": {"key": {"type": "string", "description": record.key}, "bindingVersion": _BINDING},
        },
    }


def _content(record: _Record, schemas: str) -> dict[str, Any]:
    if record.codec is not None:
        schema = {"$ref": f"{schemas.rstrip('/')}/{record.codec.name}.avsc"}
        return {"payload": {"schemaFormat": AVRO, "schema": schema}, "x-header": record.codec.header.hex()}
    if record is _TOMBSTONE:
        return {"payload": {"type": "null"}}
    ours = {
        ID_HEADER: {
            "type": "string",
            "description": "The event's id; without it, the id follows from topic, partition and offset.",
        },
        IP_HEADER: {"type": "string", "description": "The sender's address, if it came over HTTP."},
    }
    headers = {
        "type": "object",
        "description": "All others are the event's own.",
        "properties": ours,
        "additionalProperties": {"type": "string"},
    }
    return {"contentType": "application/octet-stream", "headers": headers}
