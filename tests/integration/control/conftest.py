"""A control plane and an emulator for each module of tests; receivers and buckets have a name of each test's own."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.keboola.client import StorageClient
from app.local.storage import Emulator, running
from app.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from buffer_stack import Client, ControlProcess, Controls, api_client, make_settings


@pytest.fixture(scope="module")
def emulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("storage")) as storage:
        yield storage


@pytest.fixture
def emulator(emulator_process: Emulator) -> Iterator[Emulator]:
    emulator_process.clear_faults()
    yield emulator_process
    emulator_process.clear_faults()


@pytest.fixture
def storage(emulator: Emulator) -> Iterator[StorageClient]:
    with StorageClient(emulator.url, emulator.master_token) as client:
        yield client


@pytest.fixture(scope="module")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    """One control plane for the tests of a module; those that kill its process leave another behind."""
    return make_settings(kafka, f"test-{uuid.uuid4().hex[:12]}", emulator_process)


@pytest.fixture(scope="module")
def controls(
    settings: Settings, emulator_process: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Controls]:
    """No process of theirs may have logged the token."""
    controls = Controls(settings, tmp_path_factory.mktemp("control"))
    yield controls
    for process in controls.started:
        process.kill()
        assert emulator_process.master_token not in process.log.read_text()


@pytest.fixture
def control(controls: Controls) -> ControlProcess:
    """The one process that runs."""
    return controls.only()


@pytest.fixture
async def api(settings: Settings, emulator: Emulator) -> AsyncIterator[Client]:
    async with api_client(settings, emulator.master_token) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name for a receiver and a bucket that no other test has."""
    return f"r{uuid.uuid4().hex[:10]}"
