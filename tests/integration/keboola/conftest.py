"""The clients under test; the local Storage emulator is the other end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.keboola.calls import Timeouts
from app.keboola.client import StorageClient
from app.local.storage import Emulator


@pytest.fixture
def client(storage: StorageClient) -> StorageClient:
    """The master token's client."""
    return storage


@pytest.fixture
def hasty(emulator: Emulator) -> Iterator[StorageClient]:
    """A client that waits two seconds for an answer."""
    timeouts = Timeouts(connect_seconds=60, read_seconds=2)
    with StorageClient(emulator.url, emulator.master_token, timeouts=timeouts) as client:
        yield client
