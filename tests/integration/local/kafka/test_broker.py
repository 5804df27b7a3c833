"""The local broker as people and tests use it: a real one, started, stopped, killed and met by trouble."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # re-exported without saying so

from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.model.errors import ConfigurationError

TOPIC = "flights"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBroker]:
    own = LocalBroker(tmp_path / "kafka", heap_mib=256)
    yield own
    own.stop()


def write(broker: LocalBroker, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "acks": "all"})
    producer.produce(TOPIC, value, partition=0)
    assert producer.flush(60) == 0


def read(broker: LocalBroker, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0, "group.id": "reader"})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    try:
        return [message.value() or b"" for message in consumer.consume(count, timeout=60)]
    finally:
        consumer.close()


def test_data_survives_a_kill_and_a_clean_stop(broker: LocalBroker) -> None:
    broker.start()
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(60)
    write(broker, b"before the kill")
    address = broker.bootstrap_servers

    broker.kill()
    assert broker.pid is None
    broker.start()
    write(broker, b"before the stop")
    broker.stop()
    assert broker.pid is None
    broker.start()

    assert broker.bootstrap_servers == address
    assert read(broker, 2) == [b"before the kill", b"before the stop"]


def test_unknown_topic_is_not_created_by_being_written_to(kafka: str, topic_prefix: str) -> None:
    producer = Producer({"bootstrap.servers": kafka, "topic.metadata.propagation.max.ms": 1000})
    errors: list[KafkaError | None] = []

    producer.produce(topic_prefix, b"lost?", on_delivery=lambda error, _: errors.append(error))
    producer.flush(60)

    assert [error and error.code() for error in errors] == [KafkaError.UNKNOWN_TOPIC_OR_PART]
    assert topic_prefix not in producer.list_topics(timeout=60).topics


def test_message_of_four_mebibytes_less_its_envelope_is_taken(kafka: str, topic_prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic_prefix, 1, 1)])[topic_prefix].result(60)
    producer = Producer({"bootstrap.servers": kafka, "message.max.bytes": 4 * 1024 * 1024})
    errors: list[object] = []

    producer.produce(topic_prefix, bytes(4 * 1024 * 1024 - 1024), on_delivery=lambda error, _: errors.append(error))
    producer.flush(60)

    assert errors == [None]


def test_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(
            ConfigurationError, match=rf"^Port {port} is in use, and Kafka needs it: .*STREAMS_KAFKA_PORT"
        ):
            LocalBroker(tmp_path, port=port).start()


def test_second_broker_on_the_same_data_says_so(kafka_broker: LocalBroker) -> None:
    twin = LocalBroker(kafka_broker.data_dir, log_file=kafka_broker.data_dir / "twin.log")

    with pytest.raises(ConfigurationError, match=r"^Another Kafka uses [^\n]+: stop it first\.$"):
        twin.start()


def test_directory_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(ConfigurationError, match=r"^Kafka cannot write to [^\n]*file/kafka: Not a directory\.$"):
        LocalBroker(tmp_path / "file" / "kafka").start()


def test_missing_java_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    with pytest.raises(ConfigurationError, match=r"^Kafka needs Java 17 or newer: [^\n]+$"):
        LocalBroker(tmp_path / "kafka").start()


def test_missing_jars_name_the_set_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"run `make setup`\.$"):
        LocalBroker(tmp_path / "kafka", home=tmp_path / "home").start()
