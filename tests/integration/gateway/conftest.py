"""One gateway for most tests: each makes a receiver of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from gateway_process import GatewayProcess, Target, running

QUICK = {"receiver_partitions": 1, "unknown_receiver_barrier_seconds": 0.2}


@pytest.fixture(scope="session")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    log = tmp_path_factory.mktemp("gateway") / "gateway.log"
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    with running(
        GatewayProcess(kafka, prefix, log, alone=True, read_seconds=3, retry_after_seconds=1, **QUICK)
    ) as process:
        yield process


@pytest.fixture
def target(gateway: GatewayProcess) -> Target:
    return gateway.add_receiver(f"r{uuid.uuid4().hex[:12]}")
