"""Bodies in the Confluent wire format as the JSON that templates, paths and the `body` column see.

JSON is what follows the frame, as it is. Of Avro: a union is the value alone, bytes and fixed are base64, decimals are
numbers with all their digits, dates and times are ISO 8601, NaN and infinities are null. Of Protobuf: its JSON mapping,
with the names of the .proto file, and fields that are not set as their defaults. Libraries are loaded when the first
such body comes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import orjson

from app.mapping.faults import Fault, Undecodable, cut_message
from app.model.event import Reason
from app.model.schema import HEAD_BYTES, NoSchema, Schema, SchemaKind

MAX_DECODED_BYTES = 4 << 20
"""Of one event as JSON; as much as a message of Kafka may have here."""
TOO_LONG = f"the body is more than {MAX_DECODED_BYTES:,} bytes as JSON"
NOT_GIVEN = "it was not looked up"
_OPTIONS = orjson.OPT_UTC_Z
_MAX_LEVELS = 250
Decode = Callable[[bytes], bytes]


class Decoder:
    """Reads the bodies of one batch; each schema is made ready once.

    >>> decoder = Decoder({1: Schema(SchemaKind.JSON), 2: NoSchema("the registry has no such schema")})
    >>> decoder.decoded(bytes([0, 0, 0, 0, 1]) + b'{"a": 1.50}', 1)
    b'{"a": 1.50}'
    >>> decoder.decoded(bytes([0, 0, 0, 0, 2]), 2).message
    'schema 2: the registry has no such schema'
    """

    def __init__(self, schemas: Mapping[int, Schema | NoSchema]) -> None:
        self._schemas = schemas
        self._readers: dict[int, Decode] = {}

    def decoded(self, body: bytes, schema_id: int) -> bytes | Fault:
        """The JSON that is meant, or why there is none. Raises MemoryError."""
        schema = self._schemas.get(schema_id)
        if not isinstance(schema, Schema):
            message = NOT_GIVEN if schema is None else schema.message
            return Fault(Reason.SCHEMA_UNKNOWN, None, f"schema {schema_id}: {message}")
        read = self._readers.get(schema_id)
        if read is None:
            read = self._readers[schema_id] = reader(schema)
        try:
            text = read(body)
        except Undecodable as error:
            message = cut_message(f"schema {schema_id}: {error}")  # as long as what is wrong with a schema
            return Fault(Reason.BODY_UNDECODABLE, None, message)
        if len(text) > MAX_DECODED_BYTES:
            return Fault(Reason.BODY_UNDECODABLE, None, f"schema {schema_id}: {TOO_LONG}")
        return text


@lru_cache(maxsize=64)
def reader(schema: Schema) -> Decode:
    """What reads bodies with this schema, frame and all; it raises Undecodable, also where the schema is at fault.

    >>> reader(Schema(SchemaKind.AVRO, (b'"long"',)))(bytes([0, 0, 0, 0, 1, 4]))
    b'2'
    """
    try:
        match schema.kind:
            case SchemaKind.JSON:
                return _without_frame
            case SchemaKind.AVRO:
                return _avro(schema.parts)
            case SchemaKind.PROTOBUF:
                from app.mapping.protobuf import protobuf

                return _protobuf(protobuf(schema.parts))
    except Undecodable as error:
        return partial(_refuse, str(error))


def _refuse(message: str, _body: bytes) -> bytes:
    raise Undecodable(message)


def _without_frame(body: bytes) -> bytes:
    return body[HEAD_BYTES:]


def _avro(parts: tuple[bytes, ...]) -> Decode:
    import fastavro

    named: dict[str, Any] = {}
    parsed: Any = None
    try:
        for part in parts:
            parsed = fastavro.parse_schema(orjson.loads(part), named_schemas=named)
    except RecursionError:
        raise Undecodable("the Avro schema is nested too deeply") from None
    except Exception as error:  # what is wrong with a schema shows as one of many errors
        raise Undecodable(f"the Avro schema cannot be used: {_said(error)}") from error

    def decode(body: bytes) -> bytes:
        stream = io.BytesIO(body)
        stream.seek(HEAD_BYTES)
        try:
            value = fastavro.schemaless_reader(stream, parsed, None, handle_unicode_errors="replace")
        except MemoryError:
            raise
        except RecursionError:
            raise Undecodable("the body is nested too deeply") from None
        except Exception as error:  # what is wrong with bytes shows as one of many errors
            raise Undecodable(f"the body is not what the Avro schema says: {_said(error)}") from error
        if stream.tell() != len(body):
            raise Undecodable(f"the body is not what the Avro schema says: {len(body) - stream.tell()} bytes are left")
        return _json(value)

    return decode


def _protobuf(to_value: Callable[[bytes], Any]) -> Decode:
    return lambda body: _json(to_value(body))


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value, default=_plain, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise Undecodable(f"the body is nested deeper than {_MAX_LEVELS} levels") from error


def _plain(value: Any) -> Any:
    """What Avro has beyond JSON."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f"))
    raise TypeError(type(value))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
