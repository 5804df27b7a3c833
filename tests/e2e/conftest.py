"""The whole system as real processes on free ports: a broker, the Storage emulator, gateway, control, mapper, sink."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.keboola.client import StorageClient
from app.local.ports import free_port
from app.local.storage import Emulator, running
from app.model.cipher import Cipher
from app.settings import Settings

PROCESSES = ("control", "gateway", "mapper", "sink")
READY_SECONDS = 180


@dataclass
class System:
    """Processes of one installation under test. `environment` is what they all get, `others` settings that a test wants
    otherwise.
    """

    kafka: str
    storage: Emulator
    folder: Path
    prefix: str
    others: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(init=False)
    settings: Settings = field(init=False)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        values: dict[str, Any] = {
            "kafka_bootstrap_servers": self.kafka,
            "storage_api_host": self.storage.url,
            "storage_s3_endpoint": self.storage.s3_url,
            "encryption_key": Cipher.new_key(),
            "topic_prefix": self.prefix,
            "min_time_seconds": 1,
            "session_timeout_seconds": 6,
            "import_grace_seconds": 1,
            "retry_first_seconds": 1,
            "retry_unavailable_seconds": 1,
            "mapping_children": 1,
            "dead_letter_partitions": 1,
            "view_staleness_seconds": 3,
            "source_topics": f"*:{self.prefix}-*",
            "source_look_seconds": 1,
            **{f"{name}_port": free_port() for name in PROCESSES},
            **self.others,
        }
        values["public_address"] = f"http://127.0.0.1:{values['gateway_port']}"
        self.environment = {f"STREAMS_{name.upper()}": str(value) for name, value in values.items()}
        self.settings = Settings(_env_file=None, **values)  # type: ignore[call-arg]  # pydantic-settings' own argument

    @property
    def url(self) -> str:
        return self.settings.public_address

    @property
    def token(self) -> str:
        return self.storage.master_token

    def storage_client(self) -> StorageClient:
        """As the project's administrator."""
        return StorageClient(self.storage.url, self.token)

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "app", name], env={**os.environ, **self.environment}, stdout=log, stderr=log
            )

    def kill(self, name: str) -> None:
        """As a power cut would."""
        self.processes[name].kill()
        self.processes[name].wait(60)

    def revive(self) -> list[str]:
        """Start what has ended; their names."""
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        for name in ended:
            self.start(name)
        return ended

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)

    def logs(self) -> str:
        """The last words of every process."""
        return "\n".join(f"--- {p.name}\n{p.read_text()[-3000:]}" for p in sorted(self.folder.glob("*.log")))

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str, seconds: float = READY_SECONDS) -> None:
        """Wait for a condition; fail with the processes' last words when it does not come in time."""
        deadline = time.monotonic() + seconds
        while not await condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {seconds} s: {what}\n{self.logs()}")
            await asyncio.sleep(0.1)

    async def ready(self) -> None:
        async with httpx.AsyncClient() as client:

            async def answers() -> bool:
                try:
                    return (await client.get(f"{self.url}/ready")).status_code == 200
                except httpx.TransportError:
                    return False

            await self.until(answers, "the gateway is ready")

    async def create_receiver(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Create a receiver, wait for its task's success, give it back as the API shows it."""
        await self.succeed("POST", "/v1/receivers", payload)
        receiver: dict[str, Any] = (await self.call("GET", f"/v1/receivers/{payload['id']}")).json()
        return receiver

    async def succeed(self, method: str, path: str, payload: dict[str, Any]) -> None:
        """A call that begins a task, which must succeed."""
        answer = await self.call(method, path, payload)
        assert answer.status_code in (200, 202), answer.text
        task: dict[str, Any] = answer.json()

        async def finished() -> bool:
            task.update((await self.call("GET", task["url"])).json())
            return bool(task["isFinished"])

        await self.until(finished, f"task {task['id']}")
        assert task["status"] == "success", task

    async def call(self, method: str, path: str, payload: dict[str, Any] | None = None) -> httpx.Response:
        """As the project's administrator."""
        headers = {"X-StorageApi-Token": self.token}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=120) as client:
            return await client.request(method, path, json=payload)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("storage")) as emulator:
        yield emulator


@pytest.fixture
def other_settings() -> dict[str, Any]:
    """What the processes of `system` have otherwise; a file of tests may have its own fixture of this name."""
    return {}


@pytest.fixture
def system(
    kafka: str, topic_prefix: str, storage: Emulator, tmp_path: Path, other_settings: dict[str, Any]
) -> Iterator[System]:
    """The four processes, started."""
    with started(System(kafka, storage, tmp_path, topic_prefix, other_settings)) as system:
        yield system


@pytest.fixture(scope="module")
def shared_system(kafka: str, storage: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The same for all tests of a file, which stop none of them."""
    folder = tmp_path_factory.mktemp("system")
    with started(System(kafka, storage, folder, f"test-{uuid.uuid4().hex[:12]}")) as system:
        yield system


@contextmanager
def started(system: System) -> Iterator[System]:
    for name in PROCESSES:
        system.start(name)
    try:
        yield system
    finally:
        system.stop()
