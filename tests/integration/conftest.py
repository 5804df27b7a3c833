"""Buckets and uploads in the emulator, and the Buffer API with a control plane for each module of tests."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from buffer_stack import Client, api_client, make_settings

from app.keboola.client import StorageClient
from app.keboola.upload import Uploader
from app.local.storage import Emulator
from app.settings import Settings


@pytest.fixture
def uploader(emulator: Emulator) -> Iterator[Uploader]:
    uploader = Uploader(s3_endpoint_url=emulator.s3_url)
    yield uploader
    uploader.close()


@pytest.fixture
def bucket(storage: StorageClient) -> str:
    """The id of an empty bucket that no other test has."""
    return storage.create_bucket("in", f"t{uuid.uuid4().hex[:10]}").id


@pytest.fixture
def name() -> str:
    """A name (and id) for a receiver or a bucket that no other test has."""
    return f"r{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    """One control plane for the tests of a module; those that kill its process leave another behind."""
    return make_settings(kafka, f"test-{uuid.uuid4().hex[:12]}", emulator_process)


@pytest.fixture
async def api(settings: Settings, emulator: Emulator) -> AsyncIterator[Client]:
    """An API instance; it does nothing where no control process runs."""
    async with api_client(settings, emulator.master_token) as client:
        yield client
