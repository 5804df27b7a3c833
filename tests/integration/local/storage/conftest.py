"""The emulator under test is the run's; its clients differ by their tokens."""

from __future__ import annotations

import pytest

from app.keboola.client import StorageClient


@pytest.fixture
def master(storage: StorageClient) -> StorageClient:
    """The client with all rights."""
    return storage
