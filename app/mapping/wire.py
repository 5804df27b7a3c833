"""Messages between the pool and its children: marshal of plain tuples, which costs a quarter of pickle.

Both ends are the same program at the same version, and a child is trusted no more than its sender trusts itself: it
gets events and definitions, and gives segments.
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from typing import Any

from app.mapping.events import Events
from app.mapping.headers import HeaderSet
from app.model.event import EventBatch, Failure, Reason, Segment
from app.model.receiver import Column, ColumnType, Mapping
from app.model.schema import NOT_FRAMED, NoSchema, Schema, SchemaKind

LENGTH_BYTES = 8
READY = ("ready",)


def framed(message: Any) -> bytes:
    """A message with its length before it.

    >>> parsed(framed((1, "a"))[LENGTH_BYTES:])
    (1, 'a')
    """
    payload = marshal.dumps(message)
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def pack_batch(batch: EventBatch) -> bytes:
    """A batch for `unpack_batch`; distinct headers are sent once.

    >>> from app.mapping.examples import BATCH
    >>> unpack_batch(pack_batch(BATCH)).batch.bodies == BATCH.bodies
    True
    """
    events = Events.of(batch)
    columns = (batch.offsets, batch.times_ms, batch.ids, batch.ips, batch.bodies)
    schemas = batch.schema_ids, {one: _pack_schema(batch.schemas[one]) for one in {*batch.schema_ids} - {NOT_FRAMED}}
    return marshal.dumps((columns, [headers.raw for headers in events.header_sets], events.header_at, schemas))


def unpack_batch(packed: bytes) -> Events:
    """The batch that was packed, as events whose bodies are not parsed yet.

    >>> from app.mapping.examples import BATCH
    >>> unpack_batch(pack_batch(BATCH)).headers(0).values
    {'X-Shop': '1'}
    """
    (offsets, times_ms, ids, ips, bodies), header_sets, header_at, (schema_ids, schemas) = parsed(packed)
    known = {one: _unpack_schema(*schema) for one, schema in schemas.items()}
    batch = EventBatch(offsets, times_ms, ids, ips, bodies, headers=[], schema_ids=schema_ids, schemas=known)
    return Events(batch, [HeaderSet(headers) for headers in header_sets], header_at)


def _pack_schema(schema: Schema | NoSchema) -> tuple[str, Any]:
    return (schema.kind.value, schema.parts) if isinstance(schema, Schema) else ("", schema.message)


def _unpack_schema(kind: str, content: Any) -> Schema | NoSchema:
    return Schema(SchemaKind(kind), content) if kind else NoSchema(content)


def pack_mapping(mapping: Mapping) -> tuple[Any, ...]:
    """A mapping for `unpack_mapping`.

    >>> mapping = Mapping("in.c-b.t", (Column("id", ColumnType.ID),))
    >>> unpack_mapping(pack_mapping(mapping)) == mapping
    True
    """
    columns = tuple(
        (c.name, c.type.value, c.primary_key, c.template, c.path, c.default, c.raw_string) for c in mapping.columns
    )
    return (mapping.table_id, columns, mapping.incremental, mapping.filter)


def unpack_mapping(packed: tuple[Any, ...]) -> Mapping:
    """The mapping that was packed.

    >>> unpack_mapping(("in.c-b.t", (), True, None)).table_id
    'in.c-b.t'
    """
    table_id, columns, incremental, keep = packed
    made = tuple(Column(name, ColumnType(kind), *others) for name, kind, *others in columns)
    return Mapping(table_id, made, incremental, keep)


def pack_segments(segments: Sequence[Segment], rows: bool = True) -> list[Any]:
    """Segments for `unpack_segments`; without their CSV where rows are not wanted.

    >>> segments = [Segment(8, b'"a"\\n', [7], [])]
    >>> unpack_segments(pack_segments(segments)) == segments
    True
    """
    return [(s.end, s.csv if rows else b"", s.offsets, _pack_failures(s.failures)) for s in segments]


def _pack_failures(failures: Sequence[Failure]) -> list[Any]:
    return [(f.offset, f.reason.value, f.column, f.message) for f in failures]


def unpack_segments(packed: list[Any]) -> list[Segment]:
    """The segments that were packed.

    >>> unpack_segments([(8, b'"a"\\n', [7], [])])[0].end
    8
    """
    return [
        Segment(end, csv, offsets, [Failure(offset, Reason(r), column, text) for offset, r, column, text in failures])
        for end, csv, offsets, failures in packed
    ]


def parsed(payload: bytes | bytearray) -> Any:
    """A message from what follows its length.

    >>> parsed(framed(READY)[LENGTH_BYTES:])
    ('ready',)
    """
    return marshal.loads(payload)  # noqa: S302  # between parent and child alone
