"""A control plane of its own for each test, since these tests kill it; one emulator for all, buckets by name."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.keboola.client import StorageClient
from app.local.storage import Emulator, running
from app.settings import Settings

sys.path.insert(0, str(Path(__file__).parent))

from buffer_stack import Client, ControlProcess, api_client, make_settings


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


@pytest.fixture
def settings(kafka: str, topic_prefix: str, emulator: Emulator) -> Settings:
    return make_settings(kafka, topic_prefix, emulator)


@pytest.fixture
def start_control(settings: Settings, emulator: Emulator, tmp_path: Path) -> Iterator[Callable[..., ControlProcess]]:
    """Start a control process; all are killed at the end, and none may have logged the token."""
    started: list[ControlProcess] = []

    def start(**others: Any) -> ControlProcess:
        process = ControlProcess(settings, tmp_path, **others)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        assert emulator.master_token not in process.log.read_text()


@pytest.fixture
async def api(settings: Settings, emulator: Emulator) -> AsyncIterator[Client]:
    async with api_client(settings, emulator.master_token) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name for a receiver and a bucket that no other test has."""
    return f"r{uuid.uuid4().hex[:10]}"
