"""The local Storage emulator as the other end of the Keboola client."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from app.keboola.calls import Timeouts
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
def client(emulator: Emulator) -> Iterator[StorageClient]:
    """The master token's client."""
    with StorageClient(emulator.url, emulator.master_token) as client:
        yield client


@pytest.fixture
def hasty(emulator: Emulator) -> Iterator[StorageClient]:
    """A client that waits half a second for an answer."""
    timeouts = Timeouts(connect_seconds=0.5, read_seconds=0.5)
    with StorageClient(emulator.url, emulator.master_token, timeouts=timeouts) as client:
        yield client


@pytest.fixture
def uploader(emulator: Emulator) -> Iterator[Uploader]:
    uploader = Uploader(s3_endpoint_url=emulator.s3_url)
    yield uploader
    uploader.close()


@pytest.fixture
def bucket(client: StorageClient) -> str:
    """The id of an empty bucket that no other test has."""
    return client.create_bucket("in", f"t{uuid.uuid4().hex[:10]}").id
