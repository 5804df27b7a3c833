"""`streams gateway` as a process of its own, beside the control processes of `buffer_stack`."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import httpx
from buffer_stack import DEADLINE_SECONDS, environment
from warm import start_streams

from app.local.ports import free_port
from app.settings import Settings


class GatewayServer:
    """Started when it is made; `url` is where it listens, whatever its public address. Its log is `log`."""

    def __init__(self, settings: Settings, folder: Path, port: int | None = None) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"gateway-{port}.log"
        with self.log.open("wb") as stream:
            given = environment(settings, gateway_port=port)
            self._process = start_streams("gateway", given, stream, folder)  # where no .env is

    def wait_ready(self) -> None:
        """Until the API is open."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            assert self.alive, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, "the gateway is not ready in time"
            try:
                if httpx.get(f"{self.url}/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)

    def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None
