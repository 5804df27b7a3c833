"""An emulator for the whole run of these tests, and a bucket of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator, running


@pytest.fixture(scope="session")
def emulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("storage")) as emulator:
        yield emulator


@pytest.fixture
def emulator(emulator_process: Emulator) -> Iterator[Emulator]:
    """The run's emulator, without fault rules."""
    emulator_process.clear_faults()
    yield emulator_process
    emulator_process.clear_faults()


@pytest.fixture
def master(emulator: Emulator) -> Iterator[StorageClient]:
    with StorageClient(emulator.url, emulator.master_token) as client:
        yield client


@pytest.fixture
def uploader(emulator: Emulator) -> Iterator[Uploader]:
    uploader = Uploader(s3_endpoint_url=emulator.s3_url)
    yield uploader
    uploader.close()


@pytest.fixture
def bucket(master: StorageClient) -> str:
    """The id of an empty bucket that no other test has."""
    return master.create_bucket("in", f"t{uuid.uuid4().hex[:10]}").id
