"""What senders see while Kafka is frozen, away, or not there yet, with brokers of these tests' own."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from frozen import frozen
from gateway_process import GatewayProcess, Target, running, wait_for

from app.local.kafka import LocalBroker


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with LocalBroker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
        broker.kill()  # nobody reads its data again


@pytest.fixture
def broker(started: LocalBroker) -> LocalBroker:
    """For tests that freeze it for a while."""
    wait_for(started.is_ready, "a broker that has its place in the cluster again")
    return started


def pid_of(broker: LocalBroker) -> int:
    assert broker.pid is not None
    return broker.pid


def post(client: httpx.Client, target: Target, body: bytes) -> int:
    answer = client.post(target.path, content=body)
    assert answer.status_code == 200 or answer.headers["retry-after"] == "1"
    return answer.status_code


def test_frozen_kafka_is_503_in_time_and_all_is_well_afterwards(broker: LocalBroker, tmp_path: Path) -> None:
    made = GatewayProcess(
        broker.bootstrap_servers,
        f"test-{uuid.uuid4().hex[:12]}",
        tmp_path / "gateway.log",
        acknowledge_seconds=2,
        retry_after_seconds=1,
        view_staleness_seconds=6,
    )
    with running(made) as gateway, gateway.client() as client:
        target = gateway.add_receiver("flights")
        assert post(client, target, b"before") == 200

        with frozen(pid_of(broker)):
            assert post(client, target, b"within") == 503
            wait_for(lambda: gateway.status("/ready") == 503, "a gateway that knows it has lost touch")
            assert post(client, target, b"stale") == 503
            assert gateway.status("/health-check") == 200

        wait_for(lambda: gateway.status("/ready") == 200, "a gateway that is in touch again")
        wait_for(lambda: post(client, target, b"after") == 200, "an acknowledgement")
        wait_for(lambda: gateway.metric("streams_gateway_inflight_bytes") == 0, "bytes in flight given back")
        bodies = gateway.bodies(target)
        assert {b"before", b"after"} <= set(bodies) <= {b"before", b"within", b"after"}
        assert bodies.count(b"before") == 1


def test_gateway_waits_for_kafka_and_its_topics(tmp_path: Path) -> None:
    broker = LocalBroker(tmp_path / "kafka")
    gateway = GatewayProcess(
        broker.bootstrap_servers, f"test-{uuid.uuid4().hex[:12]}", tmp_path / "gateway.log", retry_after_seconds=1
    )
    gateway.spawn()
    try:
        wait_for(lambda: gateway.status("/health-check") == 200, "a live gateway")
        assert gateway.status("/ready") == 503
        assert gateway.status("/v1/receivers") == 503
        with broker:
            wait_for(lambda: gateway.status("/ready") is not None, "an answer")
            assert gateway.status("/ready") == 503
            gateway.create_topics()
            gateway.wait_ready()
            target = gateway.add_receiver("flights")
            with gateway.client() as client:
                assert post(client, target, b"1") == 200
            assert gateway.stop() == 0
    finally:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()


def test_stop_answers_what_is_under_way(broker: LocalBroker, tmp_path: Path) -> None:
    made = GatewayProcess(broker.bootstrap_servers, f"test-{uuid.uuid4().hex[:12]}", tmp_path / "gateway.log")
    with running(made) as gateway:
        target = gateway.add_receiver("flights")
        with gateway.client() as client:
            assert client.post(target.path, content=b"first").status_code == 200
        with ThreadPoolExecutor(1) as pool, frozen(pid_of(broker)):
            sender = pool.submit(httpx.post, gateway.url(target), content=b"second", timeout=60)
            wait_for(lambda: gateway.metric("streams_gateway_inflight_bytes") == 6, "a request under way")
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGTERM)
            wait_for(lambda: gateway.status("/health-check") is None, "a closed door")

        answer = sender.result()
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert gateway.process.wait(60) == 0
        assert gateway.bodies(target) == [b"first", b"second"]
