"""A quota against a real ledger: what other processes accept and import is seen, also after a restart."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import httpx
from confluent_kafka import Producer
from gateway_process import GatewayProcess, Target, running, wait_for

from app.kafka.client import connect_admin
from app.kafka.codec import batch_codec, state_codec
from app.kafka.names import Names
from app.kafka.plan import describe_topics
from app.model.conditions import Conditions
from app.model.ledger import BatchRecord, ExportState, Mark, Phase, Slice, StagedFile
from app.model.receiver import LIVE_LANE, Column, ColumnType, Export, Mapping, Revision
from app.model.rows import Source

EVENTS, EVENT_BYTES = 11, 100_000


def make_export(gateway: GatewayProcess, target: Target) -> Export:
    mapping = Mapping("in.c-bucket.table", (Column("id", ColumnType.ID),))
    revisions = (Revision(1, mapping, "1", b"", 0),)
    export = Export("uid-all", target.uid, "1", target.receiver_id, "all", "all", Conditions(), 1, (), revisions, 0)
    gateway.write_control("export", f"1/{target.receiver_id}/all", export)
    return export


def write_ledger(gateway: GatewayProcess, export: Export, *values: ExportState | BatchRecord) -> None:
    """As the sink would."""
    producer = Producer({"bootstrap.servers": gateway.settings.kafka_bootstrap_servers, "linger.ms": 0})
    topic = Names(gateway.settings.topic_prefix).ledger
    for value in values:
        if isinstance(value, ExportState):
            producer.produce(topic, state_codec.encode(value), export.uid, partition=export.rows_partition)
        else:
            key = f"{export.uid}/{value.batch_id}"
            producer.produce(topic, batch_codec.encode(value), key, partition=export.rows_partition)
    assert producer.flush(60) == 0


def test_receiver_takes_events_again_when_its_batches_are_imported(kafka: str, tmp_path: Path) -> None:
    made = GatewayProcess(
        kafka,
        f"test-{uuid.uuid4().hex[:12]}",
        tmp_path / "gateway.log",
        receiver_quota_mib=1,
        quota_check_seconds=0.2,
        receiver_partitions=1,
        rows_partitions=2,
    )
    with running(made) as gateway:
        target = gateway.add_receiver("flights")
        export = make_export(gateway, target)

        def post(body: bytes = b".") -> httpx.Response:
            with gateway.client() as client:
                return client.post(target.path, content=body)

        for _ in range(EVENTS):  # an event that comes while the ends are asked for counts twice until the next look
            wait_for(lambda: post(b"x" * EVENT_BYTES).status_code == 200, "room for an event within the quota")
        refused = post()
        assert (refused.status_code, refused.json()["error"]) == (507, "buffer.insufficientStorage")

        # The new process finds in Kafka that so many events wait, and how large a row was last.
        slices = (Slice("s", 1, EVENT_BYTES, 1000),)
        file = StagedFile("9", 0, 0, b"")
        earlier = BatchRecord(export.uid, "b0", 1, "in.c-b.t", True, Phase.IMPORTED, 0, "7", file, slices=slices)
        write_ledger(gateway, export, earlier)
        assert gateway.stop() == 0
        gateway.spawn()
        gateway.wait_ready()
        wait_for(lambda: post().status_code == 507, "a gateway that knows the backlog")
        stored = len(gateway.events(target))
        topic_id, _ = describe_topics(connect_admin(gateway.settings), [target.topic])[target.topic]

        staged = replace(earlier, batch_id="b1", phase=Phase.CLOSING, slices=(Slice("s", stored, 2_000_000, 1000),))
        mark = Mark(Source(topic_id, 0, LIVE_LANE), stored)
        write_ledger(gateway, export, staged, ExportState(export.uid, marks=(mark,)))
        wait_for(lambda: '\\"1.9 MB\\"' in post().text, "a batch that is staged and not imported")

        write_ledger(gateway, export, replace(staged, phase=Phase.IMPORTED))
        wait_for(lambda: post().status_code == 200, "room")
