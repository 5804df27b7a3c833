"""Schemas of values in the Confluent wire format, and which values are in it. Pure.

Such a value begins with a zero byte and the id of its schema in the registry (4 bytes, big-endian). Source: Confluent
Schema Registry, wire format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

HEAD_BYTES = 5
NOT_FRAMED = -1
"""In place of a schema's id: the value is as it is."""
MAX_ID = (1 << 31) - 1
_MAGIC = 0
_FRAMED_TYPES = ("json", "avro", "protobuf", "x-protobuf")


class SchemaKind(StrEnum):
    """Names as the registry has them."""

    AVRO = "AVRO"
    JSON = "JSON"
    PROTOBUF = "PROTOBUF"


@dataclass(frozen=True, slots=True)
class Schema:
    """All that is needed to read values: the schema last, before it what it refers to, each after what it needs itself.

    Parts are JSON texts for Avro, serialized FileDescriptorProtos for Protobuf; JSON needs none.
    """

    kind: SchemaKind
    parts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class NoSchema:
    """The registry has no schema that can be used, and `message` says why."""

    message: str


def schema_id(body: bytes, ip: str, headers: Sequence[tuple[str, bytes]]) -> int:
    """The id of the schema by which the body of an event is to be read; NOT_FRAMED where it is as it is.

    What came over HTTP (it has an ip) is as it is, and so is what its Content-Type calls something else than JSON, Avro
    or Protobuf.

    >>> schema_id(bytes([0, 0, 0, 1, 2]) + b"...", "", []), schema_id(b"{}", "", [])
    (258, -1)
    """
    if len(body) < HEAD_BYTES or body[0] != _MAGIC or ip:
        return NOT_FRAMED
    given = next((value for name, value in headers if name.lower() == "content-type"), b"")
    subtype = given.decode("utf-8", "replace").partition(";")[0].strip().lower().rpartition("/")[2]
    if subtype and subtype.rpartition("+")[2] not in _FRAMED_TYPES:
        return NOT_FRAMED
    return int.from_bytes(body[1:HEAD_BYTES], "big")


def schema_ids(
    bodies: Sequence[bytes], ips: Sequence[str], headers: Sequence[Sequence[tuple[str, bytes]]]
) -> list[int]:
    """The `schema_id` of each of these events; none at all where nothing is framed.

    >>> schema_ids([b"{}"], [""], [[]])
    []
    """
    if not any(body[:1] == b"\0" for body in bodies):
        return []
    found = [schema_id(*event) for event in zip(bodies, ips, headers, strict=True)]
    return found if any(one != NOT_FRAMED for one in found) else []
