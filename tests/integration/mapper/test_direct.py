"""Records that real producers write straight into a receiver's topic: compressions, transactions, headers, schemas.

One mapper process serves all tests, each of which has receivers of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewPartitions, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.struct_pb2 import Struct
from google.protobuf.type_pb2 import Field
from schema_registry import SchemaRegistry, Trouble

from app.kafka.plan import describe_topics
from app.model.event import Reason
from app.model.ids import derived_event_id
from app.model.receiver import Column, ColumnType, SourceOffset

Installation = Any  # of conftest.py
DEADLINE_SECONDS = 60.0
NUMBER = '{"type": "record", "name": "Number", "namespace": "shop", "fields": [{"name": "n", "type": "long"}]}'
COLUMNS = (
    Column("id", ColumnType.ID),
    Column("ip", ColumnType.IP),
    Column("body", ColumnType.BODY),
    Column("headers", ColumnType.HEADERS),
)
N = Column("n", ColumnType.TEMPLATE, template="std.toString(Body('n'))")


def begun(direct: Installation, receiver_id: str, columns: tuple[Column, ...]) -> tuple[Any, Any, str]:
    """A receiver that is mapped by these columns, its export, and its topic's id."""
    topic_id = direct.create_topic(receiver_id)
    receiver = direct.receiver(receiver_id, topic_id)
    export = direct.export(receiver, "e", columns)
    direct.announce(receiver, export)
    return receiver, export, topic_id


def rows_of(direct: Installation, export: Any, count: int) -> list[str]:
    """The export's rows, when it has so many rows and failures."""
    folded = direct.wait_for_count(export, count)
    return sorted(line for rows in folded.rows.values() for line in rows.values())


def failures_of(direct: Installation, export: Any, count: int) -> list[Any]:
    folded = direct.wait_for_count(export, count)
    return [failed for failures in folded.failures.values() for failed in failures.values()]


@pytest.fixture
def registered(registry: SchemaRegistry) -> Iterator[SchemaRegistryClient]:
    """The client with which serializers register their schemas."""
    with SchemaRegistryClient({"url": registry.url, "basic.auth.user.info": "mapper:secret"}) as client:
        yield client


def value_of(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


def test_every_compression_and_committed_transactions_are_read_and_aborted_ones_are_not(direct: Installation) -> None:
    receiver, export, _ = begun(direct, "plain", (Column("body", ColumnType.BODY),))
    kafka = {"bootstrap.servers": direct.settings.kafka_bootstrap_servers}
    kinds = ["none", "gzip", "snappy", "lz4", "zstd"]
    for kind in kinds:
        producer = Producer(kafka | {"compression.type": kind, "linger.ms": 20})
        for number in range(20):
            producer.produce(receiver.topic, f"{kind}-{number:02}" + "x" * 200, partition=number % 2)
        assert producer.flush(20) == 0
    writer = Producer(kafka | {"transactional.id": f"{direct.names.prefix}-writer"})
    writer.init_transactions(20)
    for word in ("aborted", "committed"):
        writer.begin_transaction()
        writer.produce(receiver.topic, word, partition=0)
        writer.flush(20)
        writer.abort_transaction(20) if word == "aborted" else writer.commit_transaction(20)

    rows = rows_of(direct, export, 101)

    expected = [f'"{kind}-{number:02}{"x" * 200}"' for kind in kinds for number in range(20)]
    assert rows == sorted([*expected, '"committed"'])


def test_tombstones_are_skipped_keys_may_be_missing_and_the_first_of_repeated_headers_counts(
    direct: Installation,
) -> None:
    receiver, export, topic_id = begun(direct, "headers", COLUMNS)
    headers = [("a", b"1"), ("A", b"2"), ("binary", b"\xff\xfe"), ("none", None), ("streams.ip", b"10.0.0.9")]
    direct.produce(receiver, [None, b"x"], partitions=1, key=b"k")
    direct.produce(receiver, [b"", b"text", None], partitions=1, headers=headers)

    folded = direct.wait_for_count(export, 3)

    ids = {offset: derived_event_id(topic_id, 0, offset) for offset in (1, 2, 3)}
    shown = '"{""A"":""1"",""Binary"":""\ufffd\ufffd"",""None"":""""}"'
    ((_, rows),) = folded.rows.items()
    assert rows == {
        1: f'"{ids[1]}","","x","{{}}"',
        2: f'"{ids[2]}","10.0.0.9","",{shown}',
        3: f'"{ids[3]}","10.0.0.9","text",{shown}',
    }


def test_values_of_confluents_serializers_are_the_json_that_they_mean(
    direct: Installation, registered: SchemaRegistryClient
) -> None:
    receiver, export, _ = begun(direct, "schemas", (Column("body", ColumnType.BODY), N))
    context = value_of(receiver.topic)
    avro = AvroSerializer(registered, NUMBER)
    schema = '{"title": "Number", "type": "object", "properties": {"n": {"type": "integer"}}}'
    json_schema = JSONSerializer(schema, registered)
    protobuf = ProtobufSerializer(Field, registered)
    nested = ProtobufSerializer(Struct, registered)
    struct = Struct()
    struct.update({"n": {"deep": [1, None]}})
    bodies = [
        avro({"n": 1}, context),
        json_schema({"n": 2}, context),
        protobuf(Field(name="x", number=3), context),
        nested(struct, context),
        b'{"n": 4}',
    ]

    direct.produce(receiver, bodies)
    rows = rows_of(direct, export, 5)

    failures = failures_of(direct, export, 5)
    assert rows == [
        '"{""n"": 4}","""4"""',
        '"{""n"":1}","""1"""',
        '"{""n"":2}","""2"""',
        '"{""n"":{""deep"":[1.0,null]}}","""{\\""deep\\"": [1, null]}"""',
    ]
    (failed,) = failures  # a Field has no n: the template says so, having read it
    assert (failed.reason, failed.message) == (Reason.TEMPLATE_ERROR, 'path "n" not found in the body')
    assert failed.body == bodies[2]


def test_schema_is_read_with_those_that_it_refers_to(direct: Installation, registered: SchemaRegistryClient) -> None:
    receiver, export, _ = begun(direct, "references", (Column("body", ColumnType.BODY),))
    registered.register_schema("numbers", Schema(NUMBER, "AVRO"))
    line = (
        '{"type": "record", "name": "Line", "fields": ['
        '{"name": "first", "type": "shop.Number"}, {"name": "last", "type": ["null", "shop.Number"]}]}'
    )
    schema = Schema(line, "AVRO", [SchemaReference("shop.Number", "numbers", 1)])

    direct.produce(receiver, [AvroSerializer(registered, schema)({"first": {"n": 1}, "last": None}, value_of("lines"))])

    assert rows_of(direct, export, 1) == ['"{""first"":{""n"":1},""last"":null}"']


def test_unknown_schema_and_bytes_that_do_not_fit_are_dead_letters_with_the_record_as_it_came(
    direct: Installation, registry: SchemaRegistry
) -> None:
    receiver, export, _ = begun(direct, "unknown", (Column("id", ColumnType.ID),))
    number = registry.register("short", {"schema": NUMBER})
    unknown, broken = b"\0\0\1\0\0rest", b"\0" + number.to_bytes(4, "big")

    direct.produce(receiver, [unknown, broken])

    failures = failures_of(direct, export, 2)
    assert {failed.body: failed.reason for failed in failures} == {
        unknown: Reason.SCHEMA_UNKNOWN,
        broken: Reason.BODY_UNDECODABLE,
    }


@pytest.mark.parametrize("trouble", [Trouble.HANGS, Trouble.FORBIDS])
def test_registry_that_is_away_makes_only_those_wait_who_need_it_and_loses_nothing(
    direct: Installation, registry: SchemaRegistry, registered: SchemaRegistryClient, trouble: Trouble
) -> None:
    name = trouble.name.lower()
    waiting, waits, _ = begun(direct, f"waiting-{name}", (Column("body", ColumnType.BODY),))
    other, goes_on, _ = begun(direct, f"other-{name}", (Column("body", ColumnType.BODY),))
    serializer = AvroSerializer(registered, NUMBER.replace("Number", name.capitalize()))
    bodies = [serializer({"n": number}, value_of(waiting.topic)) for number in range(500)]
    registry.trouble = trouble
    asked = len(registry.asked)
    direct.produce(waiting, bodies)
    wait_until(lambda: len(registry.asked) > asked, "the mapper asks for the schema")

    direct.produce(other, [b"%d" % number for number in range(1000)])
    others = rows_of(direct, goes_on, 1000)
    waited = direct.folded(waits).count
    registry.trouble = None
    rows = rows_of(direct, waits, 500)

    assert len(others) == 1000
    assert waited == 0
    assert rows == sorted(f'"{{""n"":{number}}}"' for number in range(500))


def test_topic_of_others_is_read_from_its_receivers_start_and_partitions_added_later_are_too(
    direct: Installation,
) -> None:
    topic = f"{direct.names.prefix}-orders"
    (made,) = direct.admin.create_topics([NewTopic(topic, 1, 1)]).values()
    made.result(30)
    wait_until(lambda: topic in describe_topics(direct.admin, [topic]), topic)
    topic_id = describe_topics(direct.admin, [topic])[topic][0]
    receiver = replace(direct.receiver("orders", topic_id), topic=topic)
    starts = (SourceOffset(topic_id, 0, 2),)
    receiver = replace(receiver, starts=starts)
    export = direct.export(receiver, "e", (Column("body", ColumnType.BODY),), starts)
    direct.produce(receiver, [b"0", b"1", b"2", b"3"], partitions=1)
    direct.announce(receiver, export)
    before = rows_of(direct, export, 2)

    (grown,) = direct.admin.create_partitions([NewPartitions(topic, 2)]).values()
    grown.result(30)
    wait_until(lambda: describe_topics(direct.admin, [topic])[topic][1] == 2, "two partitions")
    producer = Producer({"bootstrap.servers": direct.settings.kafka_bootstrap_servers})  # the other knows one partition
    for partition, body in enumerate([b"4", b"5"]):
        producer.produce(topic, body, partition=partition)
    assert producer.flush(30) == 0
    after = rows_of(direct, export, 4)

    assert before == ['"2"', '"3"']
    assert after == ['"2"', '"3"', '"4"', '"5"']
