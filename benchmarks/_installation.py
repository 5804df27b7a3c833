"""What the benchmarks of whole processes share: the events, the entities in the control log, and the processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, Producer

from app.kafka.client import connect_admin
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.plan import create_topics, describe_topics, receiver_topic, system_topics
from app.kafka.view import control_key
from app.keboola.client import StorageClient
from app.local.kafka import LocalBroker
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.model.conditions import Conditions
from app.model.ids import new_event_id
from app.model.receiver import Column, ColumnType, Export, Mapping, Receiver, Revision, entity_key
from app.settings import Settings

PREFIX = "bench"
NAMES = Names(PREFIX)
RECEIVER_ID = "flights"
TOPIC = NAMES.events("1", RECEIVER_ID)
BUCKET = "in.c-bench"
_NO_COORDINATOR_YET = (
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
PLAIN = (
    Column("id", ColumnType.ID),
    Column("datetime", ColumnType.DATETIME),
    Column("ip", ColumnType.IP),
    Column("body", ColumnType.BODY),
)


def body(number: int) -> bytes:
    """A JSON body of exactly 120 bytes."""
    text = f'{{"flight":{number},"carrier":"UA","route":{{"origin":"EWR","dest":"IAH"}},"delay":11,"pad":""}}'
    return text.replace('"pad":""', f'"pad":"{"x" * (120 - len(text))}"').encode()


def make_settings(broker: LocalBroker) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own argument
        kafka_bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=PREFIX,
        encryption_key=[Cipher.new_key()],
    )


def preload(settings: Settings, events: int) -> str:
    """Create the topics and fill the receiver's, as the gateway would (lz4, ids and addresses); its id."""
    admin = connect_admin(settings)
    create_topics(admin, [*system_topics(settings), receiver_topic(settings, TOPIC)])
    while TOPIC not in (found := describe_topics(admin, [TOPIC])):
        time.sleep(0.05)
    producer = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "linger.ms": 5,
            "compression.type": "lz4",
            "enable.idempotence": True,
            "queue.buffering.max.messages": events + 1,
        }
    )
    for number in range(events):
        headers: list[tuple[str, str | bytes | None]] = [("streams.id", new_event_id()), ("streams.ip", "127.0.0.1")]
        producer.produce(TOPIC, body(number), partition=number % 4, headers=headers)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return found[TOPIC][0]


def make_receiver(topic_id: str) -> Receiver:
    return Receiver("receiver", "1", RECEIVER_ID, RECEIVER_ID, "", b"", TOPIC, topic_id, 4, 0)


def make_export(uid: str, revision: Revision, conditions: Conditions, rows_partition: int) -> Export:
    """The receiver's only export: another one made so takes its place."""
    return Export(
        uid, "receiver", "1", RECEIVER_ID, "all", "all", conditions, rows_partition, (), (revision,), created_ms=0
    )


def make_table(settings: Settings, storage: Emulator, table: str) -> Revision:
    """A table of the columns PLAIN in the bucket, and a revision that writes to it by a token of its own."""
    with StorageClient(storage.url, storage.master_token) as client:
        client.create_table(BUCKET, table, [column.name for column in PLAIN])
        token = client.create_token(table, {BUCKET: "write"})
    secret = Cipher(settings.encryption_key).encrypt(token.token)
    return Revision(1, Mapping(f"{BUCKET}.{table}", PLAIN), token.id, secret, 0)


def configure(settings: Settings, *entities: Receiver | Export) -> None:
    """Put these into the control log."""
    _write(settings, [(_key(entity), control_codec.encode(entity)) for entity in entities])


def forget(settings: Settings, *entities: Receiver | Export) -> None:
    """End these."""
    _write(settings, [(_key(entity), None) for entity in entities])


def _key(entity: Receiver | Export) -> str:
    if isinstance(entity, Receiver):
        return control_key("receiver", entity_key(entity.project_id, entity.receiver_id))
    return control_key("export", entity_key(entity.project_id, entity.receiver_id, entity.export_id))


def _write(settings: Settings, records: Sequence[tuple[str, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for key, value in records:
        producer.produce(NAMES.control, value, key)
    producer.flush()


@contextmanager
def running(
    name: str, settings: Settings, storage: Emulator | None = None, **others: object
) -> Iterator[subprocess.Popen[bytes]]:
    """`streams <name>` for the length of the block, with these settings beside the common ones."""
    given = {
        "kafka_bootstrap_servers": settings.kafka_bootstrap_servers,
        "topic_prefix": PREFIX,
        "encryption_key": settings.encryption_key[0],
        "log_level": "warning",
        **({"storage_api_host": storage.url, "storage_s3_endpoint": storage.s3_url} if storage else {}),
        **others,
    }
    environment = {**os.environ, **{f"STREAMS_{key.upper()}": str(value) for key, value in given.items()}}
    process = subprocess.Popen([sys.executable, "-m", "app", name], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def check_alive(*processes: subprocess.Popen[bytes]) -> None:
    """End the benchmark when one of them has ended."""
    for process in processes:
        if process.poll() is not None:
            sys.exit(f"{process.args[-1]} ended with {process.returncode}")


def metric(port: int, name: str) -> int:
    """What a process on this port says of itself; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return next((int(float(line.split()[1])) for line in lines if line.startswith(f"{name} ")), 0)


def has_joined(settings: Settings, name: str) -> bool:
    """Whether the process has its part of its consumer group."""
    group, admin = NAMES.group(name), connect_admin(settings)
    try:
        state = admin.describe_consumer_groups([group])[group].result(20).state
    except KafkaException as refusal:
        if refusal.args[0].code() in _NO_COORDINATOR_YET:
            return False
        raise
    return bool(state is ConsumerGroupState.STABLE)


def forget_group(settings: Settings, name: str) -> None:
    """So that the next run reads the same records again."""
    admin = connect_admin(settings)
    for answer in admin.delete_consumer_groups([NAMES.group(name)]).values():
        answer.result(20)
