"""The Buffer API under test: a real control process, the API in this process, both on the run's Kafka and emulator."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from consumer_group import expel_members
from warm import start

from app.api.commands import CommandSender
from app.api.service import create_api
from app.api.trials import Trials
from app.kafka.client import connect_admin
from app.kafka.names import Names
from app.kafka.plan import create_topics, system_topics
from app.kafka.view import ControlView
from app.keboola.client import StorageClient
from app.keboola.errors import StorageNotFound
from app.local.ports import free_port
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.model.receiver import Export
from app.settings import Settings

DEADLINE_SECONDS = 90.0
_IMPORTS = ["app.control.process"]
_MAIN = "from app.settings import load_settings; from app.control.process import run; run(load_settings(None))"


def make_settings(kafka: str, prefix: str, emulator: Emulator, **others: Any) -> Settings:
    values = {
        "kafka_bootstrap_servers": kafka,
        "topic_prefix": prefix,
        "storage_api_host": emulator.url,
        "storage_s3_endpoint": emulator.s3_url,
        "encryption_key": Cipher.new_key(),
        "rows_partitions": 3,
        "command_partitions": 2,
        "receiver_partitions": 2,
        "session_timeout_seconds": 6,
        "storage_read_seconds": 5,
        "max_receivers": 1000,
        "view_staleness_seconds": 2,
        **others,
    }
    settings = Settings(_env_file=None, **values)  # type: ignore[arg-type,call-arg]  # as from the environment
    create_topics(connect_admin(settings), system_topics(settings))
    return settings


def environment(settings: Settings, **others: Any) -> dict[str, str]:
    """What a process of its own needs in its environment to have these settings, and some others."""
    plain = {**settings.model_dump(mode="json", exclude_defaults=True), **others}
    plain |= {name: ",".join(getattr(settings, name)) for name in ("encryption_key", "source_topics")}
    return {**os.environ, **{f"STREAMS_{name.upper()}": str(value) for name, value in plain.items()}}


class ControlProcess:
    """`streams control` as a process of its own. Its log is `log`."""

    def __init__(self, settings: Settings, folder: Path, **others: Any) -> None:
        """Each has a port for metrics of its own, so that two can run."""
        self.log = folder / f"control-{time.monotonic_ns()}.log"
        given = environment(settings, **{**others, "control_port": free_port()})
        with self.log.open("wb") as stream:
            self._process = start(
                _MAIN, imports=["app.control.process"], environment=given, stdout=stream, stderr=stream
            )

    def kill(self) -> None:
        """As a power cut would (SIGKILL)."""
        self._process.kill()
        self._process.wait(DEADLINE_SECONDS)

    def freeze(self) -> None:
        """As a long pause of the machine would (SIGSTOP)."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None


class Controls:
    """The control processes of one control plane."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self.started: list[ControlProcess] = []

    def start(self, **others: Any) -> ControlProcess:
        """One more, with these settings beside the common ones. It need not wait for the sessions of killed ones."""
        if self.started and not any(process.alive for process in self.started):
            expel_members(self._settings, Names(self._settings.topic_prefix).group("control"))
        process = ControlProcess(self._settings, self._folder, **others)
        self.started.append(process)
        return process

    def only(self) -> ControlProcess:
        """The one that runs; the first is started here."""
        living = [process for process in self.started if process.alive]
        assert len(living) < 2, "a test left two running"
        return living[0] if living else self.start()


class Client:
    """Speaks to one API instance as an administrator of the local project."""

    def __init__(self, http: httpx.AsyncClient, view: ControlView) -> None:
        self.http, self.view = http, view

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path)

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    async def patch(self, path: str, body: Any) -> httpx.Response:
        return await self.http.patch(path, json=body)

    async def delete(self, path: str) -> httpx.Response:
        return await self.http.delete(path)

    def start_post(self, path: str) -> asyncio.Task[httpx.Response]:
        return asyncio.create_task(self.http.post(path))

    def start_delete(self, path: str) -> asyncio.Task[httpx.Response]:
        return asyncio.create_task(self.http.delete(path))

    async def finished(self, answer: httpx.Response) -> dict[str, Any]:
        """The task of an answer that begins one, once it has finished."""
        assert answer.status_code in (200, 202), answer.text
        return await self.task(answer.json()["url"])

    async def task(self, url: str) -> dict[str, Any]:
        """The task at this URL, once it has finished."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                task: dict[str, Any] = (await self.http.get(url)).json()
                if task["isFinished"]:
                    return task
                await asyncio.sleep(0.02)

    async def create(self, path: str, body: Any) -> dict[str, Any]:
        """A task that has succeeded."""
        task = await self.finished(await self.post(path, body))
        assert task["status"] == "success", task
        return task


@asynccontextmanager
async def api_client(settings: Settings, token: str) -> AsyncIterator[Client]:
    """One instance of the API, with a view and a sender of its own."""
    async with ControlView(settings) as view, CommandSender(settings) as commands, tended(settings) as trials:
        transport = httpx.ASGITransport(create_api(settings, view, commands, trials), raise_app_exceptions=False)
        headers = {"X-StorageApi-Token": token}
        async with httpx.AsyncClient(
            transport=transport, base_url=settings.public_address, headers=headers, timeout=DEADLINE_SECONDS
        ) as http:
            yield Client(http, view)


@asynccontextmanager
async def tended(settings: Settings) -> AsyncIterator[Trials]:
    """Where events are mapped on trial; no child outlasts it."""
    trials = Trials(settings)
    tending = asyncio.create_task(trials.tend())
    try:
        yield trials
    finally:
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; AssertionError with `what` when it is not met in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.01)


def export_body(name: str = "Export", table: str = "in.c-bucket.table", **others: Any) -> dict[str, Any]:
    """A valid export: an id, the body and a template."""
    columns = [
        {"name": "id", "type": "id", "primaryKey": True},
        {"name": "body", "type": "body"},
        {"name": "value", "type": "template", "template": {"language": "jsonnet", "content": 'Body("value")'}},
    ]
    return {"name": name, "mapping": {"tableId": table, "columns": columns}, **others}


def tokens_of(storage: StorageClient, receiver_id: str) -> list[str]:
    return [token.id for token in storage.list_tokens() if token.description.endswith(f"for Receiver {receiver_id}")]


def export_of(api: Client, receiver_id: str, export_id: str) -> Export:
    return api.view.catalog.exports[f"1234/{receiver_id}/{export_id}"]


def assert_nothing_left(storage: StorageClient, name: str) -> None:
    assert tokens_of(storage, name) == []
    with pytest.raises(StorageNotFound):
        storage.bucket_detail(f"in.c-{name}")


async def assert_in_force(api: Client, storage: StorageClient, settings: Settings, name: str) -> None:
    """The receiver is there, and its export's token, the only one, works."""
    assert (await api.get(f"/v1/receivers/{name}/exports/e")).status_code == 200
    export = export_of(api, name, "e")
    assert tokens_of(storage, name) == [export.revision.token_id]
    text = Cipher(settings.encryption_key).decrypt(export.revision.token)
    with StorageClient(settings.storage_api_host, text) as client:
        assert client.verify_token().bucket_permissions == {f"in.c-{name}": "write"}
    assert list(storage.table_detail(f"in.c-{name}.t").columns) == ["id", "body", "value"]
