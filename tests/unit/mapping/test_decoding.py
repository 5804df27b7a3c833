"""Bodies in the Confluent wire format: what templates see of them, and what becomes of those that cannot be read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mapping import decoding
from app.mapping.children import MappingPool
from app.mapping.events import Events
from app.mapping.faults import MAX_MESSAGE_BYTES
from app.mapping.rows import map_batch
from app.mapping.wire import pack_batch, unpack_batch
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Column, ColumnType, Mapping
from app.model.schema import NOT_FRAMED, NoSchema, Schema, SchemaKind, schema_ids

MakeMapping = Callable[..., Mapping]
Outcome = Callable[[Sequence[Segment]], Any]
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "raw", "type": "bytes"},
        {"name": "rate", "type": "double"},
    ],
}
AN_ORDER = {
    "id": 12345678901234567,
    "note": "é",
    "price": Decimal("123456789012345678.90"),
    "at": datetime(2023, 1, 2, 3, 4, 5, 6000, tzinfo=UTC),
    "day": date(2023, 1, 2),
    "raw": b"\x00\xff",
    "rate": float("nan"),
}
NUMBER = {"type": "record", "name": "Number", "fields": [{"name": "n", "type": "long"}]}
NULLS = {"type": "array", "items": "null"}
BOMB = b"\x00\x00\x00\x00\x01" + bytes([0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]) + b"\x00"
"""An array of 2^47 nulls, which takes no byte for each of them."""


def frame(number: int, content: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + content


def avro(schema: Any, value: Any, number: int = 1) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return frame(number, stream.getvalue())


def avro_schema(*parts: Any) -> Schema:
    return Schema(SchemaKind.AVRO, tuple(json.dumps(part).encode() for part in parts))


def protobuf_schema() -> Schema:
    """message Thing {int64 big = 1; bool on = 2; message Inner {string text = 1;} }"""
    of = FieldDescriptorProto
    inner = DescriptorProto(
        name="Inner", field=[of(name="text", number=1, type=of.TYPE_STRING, label=of.LABEL_OPTIONAL)]
    )
    fields = [
        of(name="big_number", number=1, type=of.TYPE_INT64, label=of.LABEL_OPTIONAL),
        of(name="on", number=2, type=of.TYPE_BOOL, label=of.LABEL_OPTIONAL),
    ]
    thing = DescriptorProto(name="Thing", field=fields, nested_type=[inner])
    file = FileDescriptorProto(name="thing.proto", syntax="proto3", message_type=[thing])
    return Schema(SchemaKind.PROTOBUF, (file.SerializeToString(),))


def batch_of(bodies: Sequence[bytes], schemas: dict[int, Schema | NoSchema], **headers: bytes) -> EventBatch:
    """Events of a plain Kafka producer, with what `app.kafka.schemas` attaches."""
    count = len(bodies)
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    batch = EventBatch(
        list(range(count)), [0] * count, [f"id-{n}" for n in range(count)], [""] * count, list(bodies), [fields] * count
    )
    ids = schema_ids(batch.bodies, batch.ips, batch.headers)
    return EventBatch(*(getattr(batch, name) for name in batch.__slots__[:6]), ids, schemas)


def seen(body: bytes, schema: Schema | NoSchema) -> Any:
    """The JSON that the `body` column has."""
    found = decoding.Decoder({1: schema}).decoded(body, 1)
    assert isinstance(found, bytes), found
    return json.loads(found, parse_float=str)


def complaint(body: bytes, schema: Schema | NoSchema) -> tuple[Reason, str]:
    found = decoding.Decoder({1: schema}).decoded(body, 1)
    assert not isinstance(found, bytes), found
    return found.reason, found.message


def test_avro_is_plain_json_with_all_digits_of_its_numbers() -> None:
    assert seen(avro(ORDER, AN_ORDER), avro_schema(ORDER)) == {
        "id": 12345678901234567,
        "note": "é",
        "price": "123456789012345678.90",
        "at": "2023-01-02T03:04:05.006000Z",
        "day": "2023-01-02",
        "raw": "AP8=",
        "rate": None,
    }


def test_avro_schema_is_read_with_what_it_refers_to() -> None:
    outer = {"type": "record", "name": "Outer", "fields": [{"name": "of", "type": "Number"}]}
    expanded = {**outer, "fields": [{"name": "of", "type": NUMBER}]}

    assert seen(avro(expanded, {"of": {"n": 7}}), avro_schema(NUMBER, outer)) == {"of": {"n": 7}}


def test_protobuf_is_its_json_mapping_with_the_names_and_defaults_of_the_schema() -> None:
    assert seen(frame(1, b"\x00\x08\x07"), protobuf_schema()) == {"big_number": "7", "on": False}


def test_protobuf_message_is_found_by_its_indexes() -> None:
    assert seen(frame(1, b"\x04\x00\x00\x0a\x01x"), protobuf_schema()) == {"text": "x"}


def test_json_is_what_follows_the_frame() -> None:
    assert decoding.Decoder({1: Schema(SchemaKind.JSON)}).decoded(frame(1, b'{"a": 1.50}'), 1) == b'{"a": 1.50}'


@pytest.mark.parametrize(
    ("body", "schema", "said"),
    [
        (frame(1, b""), avro_schema(NUMBER), "the body is not what the Avro schema says"),
        (frame(1, b"\x02\x02"), avro_schema(NUMBER), "1 bytes are left"),
        (frame(1, b"\x02"), avro_schema({"type": "nonsense"}), "the Avro schema cannot be used"),
        (frame(1, b"\x02"), Schema(SchemaKind.AVRO, (b"{",)), "the Avro schema cannot be used"),
        (frame(1, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"), avro_schema(
            {"type": "long", "logicalType": "timestamp-micros"}), "the body is not what the Avro schema says"),
        (frame(1, b"\x00\x08"), protobuf_schema(), "the body is not what the Protobuf schema says"),
        (frame(1, b"\x02\x0a"), protobuf_schema(), "which the Protobuf schema does not have"),
        (frame(1, b""), protobuf_schema(), "the body ends within its message indexes"),
        (frame(1, b"\x00"), Schema(SchemaKind.PROTOBUF, (b"\x0a\xff",)), "the Protobuf schema cannot be used"),
    ],
)  # fmt: skip
def test_body_that_its_schema_does_not_fit_says_why(body: bytes, schema: Schema, said: str) -> None:
    reason, message = complaint(body, schema)

    assert reason is Reason.BODY_UNDECODABLE
    assert message.startswith("schema 1: ")
    assert said in message


def test_complaint_about_a_long_schema_is_short_before_each_event_has_one() -> None:
    _, message = complaint(frame(1, b"\x02"), avro_schema("x" * 100_000))

    assert message.startswith("schema 1: the Avro schema cannot be used: ")
    assert len(message.encode()) <= MAX_MESSAGE_BYTES


def test_schema_that_is_not_to_be_had_has_a_reason_of_its_own() -> None:
    assert complaint(frame(1, b"x"), NoSchema("no such schema")) == (Reason.SCHEMA_UNKNOWN, "schema 1: no such schema")


def test_body_that_is_huge_as_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_DECODED_BYTES", 20)

    assert complaint(avro("string", "x" * 30), avro_schema("string"))[1].endswith(decoding.TOO_LONG)


@settings(max_examples=200)
@given(content=st.binary(max_size=60), kind=st.sampled_from([ORDER, NUMBER, "protobuf"]))
def test_no_bytes_make_a_reader_fail_otherwise(content: bytes, kind: Any) -> None:
    schema = protobuf_schema() if kind == "protobuf" else avro_schema(kind)

    found = decoding.Decoder({1: schema}).decoded(frame(1, content), 1)

    assert isinstance(found, bytes) or found.reason is Reason.BODY_UNDECODABLE


def test_templates_paths_and_columns_see_the_json(outcome: Outcome) -> None:
    columns = (
        Column("n", ColumnType.PATH, path="n"),
        Column("twice", ColumnType.TEMPLATE, template="2 * Body('n')"),
        Column("text", ColumnType.TEMPLATE, template="BodyStr()", raw_string=True),
        Column("body", ColumnType.BODY),
    )
    bodies = [avro(NUMBER, {"n": 21}), b'{"n":1}']

    rows, failures = outcome(map_batch(Mapping("in.c-b.t", columns), batch_of(bodies, {1: avro_schema(NUMBER)})))

    assert rows == {
        0: b'"21","42","{""n"":21}","{""n"":21}"\n',
        1: b'"1","2","{""n"":1}","{""n"":1}"\n',
    }
    assert failures == {}


def test_event_that_cannot_be_read_is_a_failure_of_every_export_also_behind_a_filter(outcome: Outcome) -> None:
    mapping = Mapping("in.c-b.t", (Column("id", ColumnType.ID),), filter="Body('n') > 1")
    bodies = [avro(NUMBER, {"n": 2}), frame(2, b"x"), frame(1, b""), avro(NUMBER, {"n": 1})]
    batch = batch_of(bodies, {1: avro_schema(NUMBER), 2: NoSchema("no such schema")})

    rows, failures = outcome(map_batch(mapping, batch))

    assert rows == {0: b'"id-0"\n'}
    assert {index: (reason, column) for index, (reason, column, _) in failures.items()} == {
        1: (Reason.SCHEMA_UNKNOWN, None),
        2: (Reason.BODY_UNDECODABLE, None),
    }


def test_bodies_of_a_batch_stay_as_they_came(make_mapping: MakeMapping) -> None:
    bodies = [avro(NUMBER, {"n": 2})]
    batch = batch_of(bodies, {1: avro_schema(NUMBER)})

    map_batch(make_mapping("body"), batch)

    assert batch.bodies == bodies


def test_content_type_of_avro_does_not_keep_templates_from_the_body(
    outcome: Outcome, make_mapping: MakeMapping
) -> None:
    batch = batch_of([avro(NUMBER, {"n": 2})], {1: avro_schema(NUMBER)}, Content_Type=b"application/avro")

    rows, _ = outcome(map_batch(make_mapping(n="Body('n')"), batch))

    assert rows == {0: b'"2"\n'}


@pytest.mark.parametrize(
    ("body", "ip", "headers", "expected"),
    [
        (frame(258, b""), "", [], 258),
        (frame(258, b""), "", [("content-type", b"application/vnd.x+avro; a=b")], 258),
        (frame(258, b""), "1.2.3.4", [], NOT_FRAMED),
        (frame(258, b""), "", [("Content-Type", b"application/octet-stream")], NOT_FRAMED),
        (b"\0\0\0\0", "", [], NOT_FRAMED),
        (b'{"a":1}', "", [], NOT_FRAMED),
    ],
)
def test_only_records_of_producers_that_begin_so_are_in_the_wire_format(
    body: bytes, ip: str, headers: list[tuple[str, bytes]], expected: int
) -> None:
    found = schema_ids([body, frame(1, b"")], [ip, ""], [headers, []])

    assert found == [expected, 1]


def test_batch_with_schemas_comes_to_a_child_as_it_is() -> None:
    schemas = {1: avro_schema(NUMBER), 2: NoSchema("no")}
    batch = batch_of([frame(1, b"\x02"), frame(2, b""), b"{}"], schemas)

    events = unpack_batch(pack_batch(batch))

    assert (events.batch.schema_ids, events.batch.schemas) == ([1, 2, NOT_FRAMED], schemas)


def test_much_that_was_decoded_is_let_go_and_decoded_again(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome, make_mapping: MakeMapping
) -> None:
    monkeypatch.setattr("app.mapping.events.MAX_DECODED_KEPT_BYTES", 10)
    monkeypatch.setattr("app.mapping.rows.MAX_RUN_BYTES", 30)
    events = Events.of(batch_of([avro(NUMBER, {"n": n}) for n in range(10)], {1: avro_schema(NUMBER)}))

    first, again = (map_batch(make_mapping(n="Body('n')"), events) for _ in range(2))

    assert outcome(first) == outcome(again) == ({n: b'"%d"\n' % n for n in range(10)}, {})
    assert events.batch.bodies[0] == avro(NUMBER, {"n": 0})


async def test_body_that_takes_all_memory_is_a_dead_letter_alone(outcome: Outcome, make_mapping: MakeMapping) -> None:
    pool = MappingPool(1, memory_mib=200, event_seconds=5, failing_share=None)
    await pool.start()
    bodies = [avro(NULLS, [None]), BOMB, avro(NULLS, [])]

    (segments,) = await pool.map([("e/1", make_mapping("body"))], batch_of(bodies, {1: avro_schema(NULLS)}))

    await pool.close()
    rows, failures = outcome(segments)
    assert rows == {0: b'"[null]"\n', 2: b'"[]"\n'}
    assert {index: reason for index, (reason, _, _) in failures.items()} == {1: Reason.BODY_UNDECODABLE}


def test_event_weighs_in_an_envelope_what_came(make_mapping: MakeMapping) -> None:
    body = avro(NUMBER, {"n": 2})
    events = Events.of(batch_of([body], {1: avro_schema(NUMBER)}))

    map_batch(make_mapping("body"), events)

    assert events.raw_size(0) == len(body)
