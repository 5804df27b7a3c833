"""The whole API as clients see it: a gateway and a control process, on the run's Kafka and an emulator."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from buffer_stack import ControlProcess, make_settings
from gateway_server import GatewayServer

from app.local.ports import free_port
from app.local.storage import Emulator
from app.settings import Settings


@pytest.fixture(scope="module")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    """Few receivers and exports are allowed, so that what a test makes by chance stays little."""
    port = free_port()
    return make_settings(
        kafka,
        f"test-{uuid.uuid4().hex[:12]}",
        emulator_process,
        gateway_port=port,
        public_address=f"http://127.0.0.1:{port}",
        max_receivers=5,
        max_exports=5,
        unknown_receiver_barrier_seconds=0.05,  # each event to an unknown receiver waits for it
    )


@pytest.fixture(scope="module")
def address(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the gateway is ready; both processes must live to the end."""
    folder = tmp_path_factory.mktemp("processes")
    control = ControlProcess(settings, folder)
    gateway = GatewayServer(settings, folder, settings.gateway_port)
    try:
        gateway.wait_ready()
        yield settings.public_address
        assert control.alive, control.log.read_text()[-3000:]
        assert gateway.alive, gateway.log.read_text()[-3000:]
    finally:
        gateway.stop()
        control.stop()
