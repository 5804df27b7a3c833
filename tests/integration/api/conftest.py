"""One control process for all tests of the API, and an API instance for each test."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.local.storage import Emulator, running
from app.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "control"))

from buffer_stack import Client, ControlProcess, api_client, make_settings  # after the path is set


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("storage")) as storage:
        yield storage


@pytest.fixture(scope="module")
def settings(kafka: str, emulator: Emulator) -> Settings:
    return make_settings(kafka, f"test-{uuid.uuid4().hex[:12]}", emulator)


@pytest.fixture(scope="module")
def control(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlProcess]:
    process = ControlProcess(settings, tmp_path_factory.mktemp("control"))
    yield process
    assert process.alive, process.log.read_text()[-3000:]
    assert process.stop() == 0


@pytest.fixture
async def api(settings: Settings, control: ControlProcess, emulator: Emulator) -> AsyncIterator[Client]:
    async with api_client(settings, emulator.master_token) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name (and id) for a receiver or a bucket that no other test has."""
    return f"r{uuid.uuid4().hex[:10]}"
