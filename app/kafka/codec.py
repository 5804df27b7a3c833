"""Records as bytes: Avro single-object encoding of the words of the domain, by the schemas in `schemas/`.

A value begins with the marker C3 01 and the CRC-64-AVRO fingerprint of its writer's schema, so a reader resolves any
version it has a schema of: the current one (`schemas/<name>.avsc`) or an earlier one (`schemas/history/*.avsc`).
Source: Avro specification, single-object encoding.
"""

from __future__ import annotations

import dataclasses
import io
import json
import types
import typing
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from app.model.binding import Binding
from app.model.dead_letter import DeadLetter
from app.model.errors import StreamsError
from app.model.ledger import BatchRecord, ExportState
from app.model.receiver import Draining, Export, Receiver
from app.model.replay import Replay
from app.model.rows import FailedEvent, Rows
from app.model.task import Command, Forgotten, Task

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
_MARKER = b"\xc3\x01"
_HEADER_BYTES = 10
T = TypeVar("T")
ControlValue = Receiver | Export | Draining | Replay | Task | Forgotten | Binding
_KINDS: dict[str, Any] = {
    "receiver": Receiver,
    "export": Export,
    "draining": Draining,
    "replay": Replay,
    "task": Task,
    "forgotten": Forgotten,
    "binding": Binding,
}


class CodecError(StreamsError):
    """Bytes that are not a record of ours, or of a schema that this version does not have."""


class Codec(Generic[T]):
    """Encodes and decodes one kind of record: `name` is its schema's, with `header` each value written begins."""

    def __init__(self, name: str, to_plain: Callable[[T], Any], from_plain: Callable[[Any], T]) -> None:
        self.schema = _load(SCHEMAS / f"{name}.avsc")
        self.header = _MARKER + _fingerprint(self.schema)
        self._writers = {self.header: self.schema}
        for path in sorted((SCHEMAS / "history").glob(f"{name}.*.avsc")):
            earlier = _load(path)
            self._writers[_MARKER + _fingerprint(earlier)] = earlier
        self.name, self._to_plain, self._from_plain = name, to_plain, from_plain

    def encode(self, value: T) -> bytes:
        buffer = io.BytesIO()
        buffer.write(self.header)
        fastavro.schemaless_writer(buffer, self.schema, self._to_plain(value))
        return buffer.getvalue()

    def decode(self, data: bytes) -> T:
        """Raises CodecError for bytes of another kind, of an unknown version, cut short, or with a word (a phase, a
        reason) that this version does not have.
        """
        writer = self._writers.get(data[:_HEADER_BYTES])
        if writer is None:
            raise CodecError(
                f"Not a {self.name} record that this version knows: it begins with {data[:_HEADER_BYTES].hex()}."
            )
        buffer = io.BytesIO(data)
        buffer.seek(_HEADER_BYTES)
        try:
            return self._from_plain(fastavro.schemaless_reader(buffer, writer, self.schema))
        except (EOFError, ValueError, LookupError) as error:
            raise CodecError(f"A {self.name} record is damaged: {error}") from error


def _load(path: Path) -> Any:
    return fastavro.parse_schema(json.loads(path.read_text()))


def _fingerprint(schema: Any) -> bytes:
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))[::-1]


def _to_plain(value: Any) -> Any:
    if type(value) is FailedEvent:
        return _failed_to_plain(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        if value and isinstance(value[0], tuple):
            return [{"name": name, "value": data} for name, data in value]
        return value if value and type(value[0]) is int else [_to_plain(item) for item in value]
    return value


def _failed_to_plain(failed: FailedEvent) -> dict[str, Any]:
    """Written out, because a bad export has one for every event, and the general way takes 3 times as long."""
    return {
        "offset": failed.offset,
        "reason": failed.reason,
        "column": failed.column,
        "message": failed.message,
        "topic": failed.topic,
        "time_ms": failed.time_ms,
        "event_id": failed.event_id,
        "ip": failed.ip,
        "headers": [{"name": name, "value": value} for name, value in failed.headers],
        "body": failed.body,
    }


@cache
def _builder(wanted: Any) -> Callable[[Any], Any]:
    """A function that makes a value of this type from what fastavro read."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [_builder(a) for a in arguments if a is not type(None)]
        return lambda plain: None if plain is None else inner(plain)
    if origin is tuple:
        item = _builder(arguments[0])
        return lambda plain: tuple(item(p) for p in plain)
    if origin is Sequence:
        if typing.get_origin(arguments[0]) is tuple:
            return lambda plain: [(p["name"], p["value"]) for p in plain]
        if arguments[0] is int:
            return lambda plain: plain
        item = _builder(arguments[0])
        return lambda plain: [item(p) for p in plain]
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return wanted
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        hints = typing.get_type_hints(wanted)
        builders = [(f.name, _builder(hints[f.name])) for f in dataclasses.fields(wanted)]
        return lambda plain: wanted(**{name: build(plain[name]) for name, build in builders})
    return lambda plain: plain


def _control_to_plain(value: ControlValue) -> Any:
    kind = type(value).__name__.lower()
    return {"kind": kind, "value": (f"streams.{type(value).__name__}", _to_plain(value))}


def _control_from_plain(plain: Any) -> ControlValue:
    return typing.cast(ControlValue, _builder(_KINDS[plain["kind"]])(plain["value"]))


rows_codec: Codec[Rows] = Codec("rows", _to_plain, _builder(Rows))
dead_letter_codec: Codec[DeadLetter] = Codec("dead_letter", _to_plain, _builder(DeadLetter))
state_codec: Codec[ExportState] = Codec("export_state", _to_plain, _builder(ExportState))
batch_codec: Codec[BatchRecord] = Codec("batch_record", _to_plain, _builder(BatchRecord))
command_codec: Codec[Command] = Codec("command", _to_plain, _builder(Command))
control_codec: Codec[ControlValue] = Codec("control_record", _control_to_plain, _control_from_plain)
