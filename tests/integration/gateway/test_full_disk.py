"""Kafka's disk is full, or the gateway may open no more files: senders are told, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import httpx
import pytest
from gateway_process import GatewayProcess, running, wait_for
from small_disk import small_disk

from app.local.kafka import LocalBroker

pytestmark = pytest.mark.long


def test_full_disk_of_kafka_is_503_and_what_was_acknowledged_is_there_when_it_has_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 400) as disk, LocalBroker(disk.path / "kafka") as broker:
        assert broker.pid is not None
        made = GatewayProcess(
            broker.bootstrap_servers,
            f"test-{uuid.uuid4().hex[:12]}",
            tmp_path / "gateway.log",
            acknowledge_seconds=3,
            retry_after_seconds=1,
            receiver_partitions=1,
        )
        with running(made) as gateway, gateway.client() as client:
            target = gateway.add_receiver("flights")
            acknowledged, status = [], 200
            disk.fill(broker.pid, 20_000_000)
            while status == 200:
                body = os.urandom(500_000)
                answer = client.post(target.path, content=body)
                status = answer.status_code
                if status == 200:
                    acknowledged.append(body)
            assert (status, answer.headers["retry-after"]) == (503, "1")
            assert len(acknowledged) > 3
            wait_for(lambda: broker.poll() is not None, "a broker that ends because it cannot write")
            assert "the disk is full" in broker.why_it_ended() or not disk.mounted

            disk.free(None)
            broker.start()

            wait_for(lambda: client.post(target.path, content=b"after").status_code == 200, "an acknowledgement")
            stored = gateway.bodies(target)
            assert all(stored.count(body) == 1 for body in acknowledged)


def test_gateway_with_few_files_tells_senders_and_goes_on(kafka: str, tmp_path: Path) -> None:
    gateway = GatewayProcess(kafka, f"test-{uuid.uuid4().hex[:12]}", tmp_path / "gateway.log", retry_after_seconds=1)
    with running(gateway):
        target = gateway.add_receiver("flights")
        gateway.stop()
        gateway.spawn(open_files=100)
        gateway.wait_ready()
        clients = [gateway.client() for _ in range(60)]
        try:
            statuses = [client.post(target.path, content=b"x").status_code for client in clients]
        finally:
            for client in clients:
                client.close()

        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= 30
        assert "the limit of open files allows no more" in gateway.log
        wait_for(lambda: httpx.post(gateway.url(target), content=b"after").status_code == 200, "room")
        assert gateway.bodies(target).count(b"x") == statuses.count(200)
