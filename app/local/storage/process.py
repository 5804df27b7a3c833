"""The emulator as a child process, for tests and tools: started on free ports, stopped with the block."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.local.storage.config import MASTER_TOKEN

START_SECONDS = 60.0
STOP_SECONDS = 15.0
_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Emulator:
    """A running emulator: its addresses, its master token and its process."""

    url: str
    s3_url: str
    master_token: str
    project_id: int
    process: subprocess.Popen[bytes]

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Run one read-only query on the tables: `select count(*) from "in.c-flights".departures`."""
        return [tuple(row) for row in self._call("POST", "/local/sql", {"query": query})["rows"]]

    def fault(self, effect: str, **rule: Any) -> None:
        """Add a fault rule; see `app.local.storage.faults` for its fields."""
        self._call("POST", "/local/faults", {"effect": effect, **rule})

    def faults(self) -> list[dict[str, Any]]:
        """List the fault rules, each with how often it was used."""
        rules: list[dict[str, Any]] = self._call("GET", "/local/faults")
        return rules

    def clear_faults(self) -> None:
        """Forget all fault rules."""
        self._call("DELETE", "/local/faults")

    def kill(self) -> None:
        """Kill it as a power cut would (SIGKILL)."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """Ask it to stop (SIGTERM), wait, and give its exit code; kill it if it does not stop in time."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - always our own http address
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(error.read().decode()) from error
        return json.loads(text) if text else None


@contextmanager
def running(
    data_dir: Path, port: int = 0, s3_port: int = 0, *, provider: str = "aws", provider_url: str = ""
) -> Iterator[Emulator]:
    """Start an emulator on `data_dir`, give it when it is ready, stop it at the end of the block.

    Port 0 means a free one. Files are on the emulator's own S3, or on the cloud `provider` (`azure`, `gcp`) that is
    emulated at `provider_url`. Data stays, so a second start goes on with what is there.
    Raises RuntimeError with its last words when it does not start.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "emulator.log"
    command = [sys.executable, "-m", "app.local.storage", "--data-dir", str(data_dir)]
    command += ["--port", str(port), "--s3-port", str(s3_port)]
    command += ["--provider", provider, "--provider-url", provider_url]
    with log.open("ab") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, stdin=subprocess.DEVNULL, cwd=_ROOT)
    try:
        ready = _first_line(process, log)
        emulator = Emulator(ready["url"], ready["s3_url"], MASTER_TOKEN, 1234, process)
    except BaseException:
        process.kill()
        process.wait()
        _close(process)
        raise
    try:
        yield emulator
    finally:
        if process.poll() is None:
            emulator.stop()
        _close(process)


def _first_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.select(max(0.0, deadline - time.monotonic()))
        line = process.stdout.readline() if selector.select(0) else b""
    if not line:
        raise RuntimeError(f"the Storage emulator did not start: {log.read_text()[-2000:]}")
    ready: dict[str, str] = json.loads(line)
    return ready


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is not None:
        process.stdout.close()
