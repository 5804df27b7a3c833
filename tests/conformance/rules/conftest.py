"""One gateway, one control process and one receiver that is there, for all cases; each has a name of its own."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from buffer_stack import DEADLINE_SECONDS, ControlProcess, make_settings
from gateway_server import GatewayServer

from app.keboola.client import StorageClient
from app.local.storage import Emulator
from app.settings import Settings

from .case import Stage, column, export, template

ADDRESS = "https://streams.example"


@pytest.fixture(scope="package")
def settings(kafka: str, emulator_process: Emulator) -> Settings:
    return make_settings(kafka, f"test-{uuid.uuid4().hex[:12]}", emulator_process, public_address=ADDRESS)


@pytest.fixture(scope="package")
def client(
    settings: Settings, emulator_process: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """As the project's administrator. Both processes must live to the end, and log no token."""
    folder = tmp_path_factory.mktemp("processes")
    control, gateway = ControlProcess(settings, folder), GatewayServer(settings, folder)
    try:
        gateway.wait_ready()
        headers = {"X-StorageApi-Token": emulator_process.master_token}
        with httpx.Client(base_url=gateway.url, headers=headers, timeout=DEADLINE_SECONDS) as client:
            yield client
        for process in (control, gateway):
            assert process.alive, process.log.read_text()[-3000:]
            assert emulator_process.master_token not in process.log.read_text()
    finally:
        gateway.stop()
        control.stop()


@pytest.fixture(scope="package")
def receivers(client: httpx.Client) -> dict[str, str]:
    """Receivers with the export "e": `there` is for cases that change nothing, `changing` for those that do."""
    columns = [column("id", "id", primaryKey=True), column("body"), template("value", 'Body("value")')]
    there = {
        "name": "there",
        "description": "The one that is there",
        "exports": [export("E", "in.c-there.t", columns)],
    }
    changing = {"name": "changing", "exports": [export("E", "in.c-changing.t")]}
    for body in (there, changing):
        task = finished(client, client.post("/v1/receivers", json=body))
        assert task["status"] == "success", task
    return {"there": "there", "changing": "changing"}


@pytest.fixture(scope="package")
def tokens(emulator_process: Emulator) -> dict[str, str]:
    """The administrator's token, and one that is no master token."""
    with StorageClient(emulator_process.url, emulator_process.master_token) as storage:
        return {"token": emulator_process.master_token, "limited": storage.create_token("limited", {}).token}


@pytest.fixture
def stage(client: httpx.Client, storage: StorageClient, receivers: dict[str, str], tokens: dict[str, str]) -> Stage:
    name = f"r{uuid.uuid4().hex[:10]}"
    return Stage(client, storage, {"name": name, "address": ADDRESS, "project": "1234", **receivers, **tokens})


def finished(client: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """The task of an answer that begins one, once it has finished."""
    assert answer.status_code in (200, 202), answer.text
    path = httpx.URL(answer.json()["url"]).path
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        task: dict[str, Any] = client.get(path).json()
        if task["isFinished"]:
            return task
        assert time.monotonic() < deadline, f"not finished in time: {task}"
        time.sleep(0.01)
