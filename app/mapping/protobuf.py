"""Protobuf messages by the descriptors of their schema. Loaded when the first one comes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from app.mapping.faults import Undecodable
from app.model.schema import HEAD_BYTES

_MAX_INDEXES = 32
_MAX_VARINT_BYTES = 5


def protobuf(parts: Sequence[bytes]) -> Callable[[bytes], Any]:
    """What reads a framed body as a value of JSON. `parts` are files, the schema's own last, each after those that it
    imports. Both raise Undecodable.

    >>> from google.protobuf import wrappers_pb2
    >>> protobuf([wrappers_pb2.DESCRIPTOR.serialized_pb])(bytes([0, 0, 0, 0, 1, 0]))
    0.0
    """
    pool = DescriptorPool()
    name = ""
    try:
        for part in parts:
            file = FileDescriptorProto.FromString(part)
            pool.Add(file)
            name = file.name
        found = pool.FindFileByName(name)
    except (TypeError, KeyError, DecodeError) as error:
        raise Undecodable(f"the Protobuf schema cannot be used: {_one_line(error)}") from error

    def decode(body: bytes) -> Any:
        indexes, start = message_indexes(body, HEAD_BYTES)
        message = GetMessageClass(_message(found, indexes))()
        try:
            message.ParseFromString(body[start:])
            return json_format.MessageToDict(
                message,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
                descriptor_pool=pool,
            )
        except (DecodeError, json_format.Error, TypeError, ValueError) as error:
            raise Undecodable(f"the body is not what the Protobuf schema says: {_one_line(error)}") from error
        except RecursionError:
            raise Undecodable("the body is nested too deeply") from None

    return decode


def message_indexes(body: bytes, start: int) -> tuple[list[int], int]:
    """Which message of the file the body is, from the outermost to the innermost, and where it begins.

    A count and so many indexes, as zigzag varints; a count of 0 stands for the first message. Source: Confluent Schema
    Registry, wire format. Raises Undecodable.

    >>> message_indexes(bytes([0, 8]), 0), message_indexes(bytes([4, 2, 0, 8]), 0)
    (([0], 1), ([1, 0], 3))
    """
    count, at = _varint(body, start)
    if not 0 <= count <= _MAX_INDEXES:
        raise Undecodable(f"the body says that its message is nested {count} levels deep")
    indexes = []
    for _ in range(count):
        index, at = _varint(body, at)
        indexes.append(index)
    return indexes or [0], at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(_MAX_VARINT_BYTES):
        if at >= len(body):
            raise Undecodable("the body ends within its message indexes")
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at
    raise Undecodable("a message index of the body is too long")


def _message(file: FileDescriptor, indexes: Sequence[int]) -> Descriptor:
    messages: Sequence[Descriptor] = list(file.message_types_by_name.values())
    found: Descriptor | None = None
    for index in indexes:
        if not 0 <= index < len(messages):
            raise Undecodable(f"the body is of message {list(indexes)}, which the Protobuf schema does not have")
        found = messages[index]
        messages = found.nested_types
    assert found is not None
    return found


def _one_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
