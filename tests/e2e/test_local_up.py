"""`streams local up` as a person runs it: all parts real, on ports and in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.local.ports import free_port, is_free
from app.local.state import read_state

ROOT = Path(__file__).resolve().parents[2]
PORTS = ("KAFKA", "STORAGE", "STORAGE_S3", "GATEWAY", "CONTROL", "MAPPER", "SINK")
DEADLINE_SECONDS = 180


@dataclass
class Laptop:
    """A folder, ports and a stack that runs on them."""

    home: Path
    environment: dict[str, str]
    up: subprocess.Popen[bytes]

    def streams(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_SECONDS,
        )

    def port(self, name: str) -> int:
        return int(self.environment[f"STREAMS_{name}_PORT"])

    def printed(self) -> str:
        return (self.home / "printed").read_text()

    def wait_printed(self, words: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while words not in self.printed():
            assert self.up.poll() is None, self.printed()
            assert time.monotonic() < deadline, self.printed()
            time.sleep(0.1)

    def wait_well(self) -> subprocess.CompletedProcess[str]:
        """Until `streams local status` finds nothing wrong; what it says then."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (status := self.streams("local", "status")).returncode != 0:
            assert time.monotonic() < deadline, status.stdout + self.printed()
            time.sleep(1)
        return status


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMS_")}
    environment |= {f"STREAMS_{name}_PORT": str(free_port()) for name in PORTS}
    environment |= {"STREAMS_LOCAL_DIR": str(tmp_path / "local"), "COLUMNS": "200"}
    environment["STREAMS_GRACEFUL_STOP_SECONDS"] = "60"  # on a busy machine too
    with (tmp_path / "printed").open("wb") as printed:
        up = subprocess.Popen(
            [sys.executable, "-m", "app", "local", "up"], cwd=ROOT, env=environment, stdout=printed, stderr=printed
        )
    yield Laptop(tmp_path, environment, up)
    if up.poll() is None:
        up.kill()
    up.wait()


def test_stack_gets_ready_answers_mends_itself_and_stops_on_ctrl_c(laptop: Laptop) -> None:
    laptop.wait_printed("Ready after")

    with urllib.request.urlopen(f"http://127.0.0.1:{laptop.port('GATEWAY')}/ready") as answer:
        assert answer.status == 200
    status = laptop.wait_well()
    assert (status.stdout.count("not ready"), status.stdout.count(" ready ")) == (0, 6)
    checked = laptop.streams("topics", "check")
    assert (checked.returncode, checked.stdout) == (0, "All 5 topics are as planned.\n")
    answered = laptop.streams("local", "sql", "--json", "select 1 as one")
    assert json.loads(answered.stdout) == [{"one": 1}]

    state = read_state(laptop.home / "local")
    assert state is not None
    broker = next(part for part in state.parts if part.name == "kafka")
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    laptop.wait_printed("kafka ended (SIGKILL)")
    laptop.wait_well()

    laptop.up.send_signal(signal.SIGINT)
    assert laptop.up.wait(DEADLINE_SECONDS) == 0
    assert laptop.printed().splitlines()[-2:] == ["Stopping…", "Stopped. The next start goes on with what is there."]
    assert "did not stop in time" not in laptop.printed()
    assert [name for name in PORTS if not is_free(laptop.port(name))] == []
