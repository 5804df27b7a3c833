"""The installation under chaos: a broker, the Storage emulator, and two of each process of ours, watched and restarted.

Everything is on loopback and on ports of its own. Start it from the main thread: the broker dies with its thread.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.local.child import start_child
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.local.storage import Emulator
from app.model.cipher import Cipher
from app.settings import Settings
from chaos.plan import INSTANCES, SESSION_SECONDS

_LOOK_SECONDS = 0.2
_RESTART_SECONDS = 0.5
READY_SECONDS = 240.0
"""Others may be busy on the machine: no wait is short."""
STOP_SECONDS = 120.0
_FAKETIME = Path(__file__).resolve().parents[3] / "scripts" / "faketime-library"


@dataclass(frozen=True)
class Ending:
    """How a process ended: `told` is the signal that we sent it, None when it ended of itself."""

    name: str
    told: signal.Signals | None
    code: int
    words: str = ""
    """Its last line, when it ended of itself."""


@dataclass
class Instance:
    """One of our processes, over all its lives. `shift_seconds` is how far the next life's clock is off."""

    name: str
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    told: signal.Signals | None = None
    shift_seconds: int = 0
    ended_at: float | None = None

    @property
    def role(self) -> str:
        return self.name.partition("-")[0]

    def start(self) -> None:
        self.told = self.ended_at = None
        with self.log.open("ab") as log:
            environment = {**self.environment, **_shifted(self.shift_seconds)}
            self.process = start_child([sys.executable, "-m", "app", self.role], log, self.log.parent, environment)

    def tell(self, number: signal.Signals) -> bool:
        """Send a signal; whether it was there to get it. What ends a process counts as told."""
        if self.process is None or self.process.poll() is not None:
            return False
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.told = number
        self.process.send_signal(number)
        return True

    def last_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass
class Stack:
    """Use `starting`, then run `watch` as a task. `endings` are all that were seen."""

    broker: LocalBroker
    emulator: Emulator
    settings: Settings
    instances: dict[str, Instance]
    endings: list[Ending] = field(default_factory=list)
    restarting: bool = True
    broker_is_hit: asyncio.Lock = field(default_factory=asyncio.Lock)
    tell_ending: Callable[[Ending], None] = lambda _: None

    @classmethod
    def make(cls, broker: LocalBroker, emulator: Emulator, folder: Path, **others: Any) -> Stack:
        """Of processes that are not started; their logs are below `folder`. `others` are settings."""
        key = Cipher.new_key()
        values: dict[str, Any] = {
            "kafka_bootstrap_servers": broker.bootstrap_servers,
            "storage_api_host": emulator.url,
            "storage_s3_endpoint": emulator.s3_url,
            "encryption_key": key,
            "topic_prefix": "chaos",
            "rows_partitions": 4,
            "receiver_partitions": 2,
            "command_partitions": 2,
            "dead_letter_partitions": 2,
            "min_time_seconds": 1,
            "session_timeout_seconds": SESSION_SECONDS,
            "acknowledge_seconds": 5,
            "view_staleness_seconds": 5,
            "import_grace_seconds": 2,
            "retry_first_seconds": 1,
            "retry_factor": 2,
            "retry_cap_seconds": 8,
            "retry_unavailable_seconds": 1,
            "park_after_seconds": 6,
            "park_seconds": 2,
            "park_cap_seconds": 8,
            "staging_bytes": 16 * 1024,
            "staging_span_seconds": 5,
            "mapping_children": 1,
            "graceful_stop_seconds": 30,
            **others,
        }
        instances = {}
        for name in INSTANCES:
            role = name.partition("-")[0]
            own = {**values, f"{role}_port": free_port()}
            if role == "gateway":
                own["public_address"] = f"http://127.0.0.1:{own['gateway_port']}"
            given = {f"STREAMS_{setting.upper()}": str(value) for setting, value in own.items()}
            instances[name] = Instance(name, {**os.environ, **given}, folder / f"{name}.log")
        settings = Settings(_env_file=None, **{**values, "encryption_key": [key]})  # type: ignore[call-arg]  # pydantic-settings' own
        return cls(broker, emulator, settings, instances)

    def of(self, role: str) -> Sequence[Instance]:
        return [instance for instance in self.instances.values() if instance.role == role]

    def port(self, instance: Instance) -> int:
        return int(instance.environment[f"STREAMS_{instance.role.upper()}_PORT"])

    @property
    def gateways(self) -> list[str]:
        """Where they listen."""
        return [f"http://127.0.0.1:{self.port(instance)}" for instance in self.of("gateway")]

    def start(self) -> None:
        for instance in self.instances.values():
            instance.start()

    async def watch(self) -> None:
        """Start again whatever ends, as a supervisor would, until `restarting` is taken back."""
        while True:
            for instance in self.instances.values():
                self._look(instance)
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self, instance: Instance) -> None:
        code = instance.process.poll() if instance.process is not None else None
        if code is None:
            return
        if instance.ended_at is None:
            instance.ended_at = time.monotonic()
            ending = Ending(
                instance.name, instance.told, code, "" if instance.told is not None else instance.last_line()
            )
            self.endings.append(ending)
            self.tell_ending(ending)
        elif self.restarting and time.monotonic() - instance.ended_at >= _RESTART_SECONDS:
            instance.start()

    async def until_ready(self, *names: str) -> None:
        """Wait until these processes (all, when none is named) serve. Raises TimeoutError."""
        async with asyncio.timeout(READY_SECONDS), httpx.AsyncClient(timeout=10) as client:
            for name in names or self.instances:
                instance = self.instances[name]
                await _until_it_answers(client, f"http://127.0.0.1:{self.port(instance)}/ready")

    async def stopped(self, name: str) -> Ending:
        """Tell it to stop (SIGTERM) and wait for its end; it is not killed here. Raises TimeoutError."""
        instance, seen = self.instances[name], len(self.endings)
        instance.tell(signal.SIGTERM)
        async with asyncio.timeout(STOP_SECONDS):
            while True:
                for ending in self.endings[seen:]:
                    if ending.name == name:
                        return ending
                await asyncio.sleep(_LOOK_SECONDS)

    def kill_all(self) -> None:
        """The end of a run, however it went."""
        self.restarting = False
        for instance in self.instances.values():
            if instance.process is not None and instance.process.poll() is None:
                instance.process.kill()  # a stopped one dies too
                with suppress(subprocess.TimeoutExpired):
                    instance.process.wait(10)


async def _until_it_answers(client: httpx.AsyncClient, url: str) -> None:
    while True:
        with suppress(httpx.TransportError):
            if (await client.get(url)).status_code == 200:
                return
        await asyncio.sleep(_LOOK_SECONDS)


def _shifted(seconds: int) -> dict[str, str]:
    """What makes a process see another time of day; the monotonic clock goes right."""
    if not seconds:
        return {}
    found = subprocess.run([_FAKETIME], capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(f"libfaketime is missing: run `scripts/prerequisites faketime`. {found.stderr}".rstrip())
    library = found.stdout.strip()
    mac = {"DYLD_INSERT_LIBRARIES": library, "DYLD_FORCE_FLAT_NAMESPACE": "1"}
    preload = mac if library.endswith(".dylib") else {"LD_PRELOAD": library}
    return {**preload, "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
