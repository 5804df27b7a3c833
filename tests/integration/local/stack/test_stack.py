"""The supervisor with real child processes: start, revive, stop, and what it says when something is in the way."""

from __future__ import annotations

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.local.ports import free_port, is_free
from app.local.state import PartState, StackLock, process_began, read_state, stop_stack, write_state

DRIVER = Path(__file__).with_name("two_parts.py")
DEADLINE_SECONDS = 60


class Driver:
    """The driver as a process, and the lines that it prints."""

    def __init__(self, home: Path, mode: str = "", ports: tuple[int, int] | None = None) -> None:
        self.home = home
        self.ports = ports or (free_port(), free_port())
        self.process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(home), *map(str, self.ports), mode],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def until(self, words: str) -> str:
        """The first line from here on that holds these words."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        seen = []
        while time.monotonic() < deadline:
            try:
                seen.append(self._lines.get(timeout=1))
            except queue.Empty:
                continue
            if words in seen[-1]:
                return seen[-1]
        raise AssertionError(f"no line with {words!r} in {seen}")

    def part(self, name: str) -> PartState:
        state = read_state(self.home)
        assert state is not None
        return next(part for part in state.parts if part.name == name)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.strip())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    drivers: list[Driver] = []

    def start(mode: str = "", ports: tuple[int, int] | None = None) -> Driver:
        drivers.append(Driver(tmp_path, mode, ports))
        return drivers[-1]

    yield start
    for driver in drivers:
        driver.close()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        threading.Event().wait(0.02)


def test_part_that_dies_is_started_again_and_a_line_says_so(start: Callable[..., Driver]) -> None:
    driver = start()
    driver.until("all ready")
    before = driver.part("second")
    assert before.pid is not None

    os.kill(before.pid, signal.SIGKILL)

    assert driver.until("ended").startswith("second ended (SIGKILL); it starts again in 0.5 s")
    eventually(lambda: driver.part("second").restarts == 1)
    assert driver.part("second").pid != before.pid
    eventually(lambda: not is_free(driver.ports[1]))


def test_sigterm_stops_every_part_and_forgets_the_state(start: Callable[..., Driver], tmp_path: Path) -> None:
    driver = start()
    driver.until("all ready")

    driver.process.terminate()
    driver.until("all stopped")

    assert driver.process.wait(DEADLINE_SECONDS) == 0
    assert all(is_free(port) for port in driver.ports)
    assert read_state(tmp_path) is None
    assert not StackLock(tmp_path).is_held()


def test_part_that_will_not_stop_is_killed_within_the_bound(start: Callable[..., Driver]) -> None:
    driver = start("stubborn")
    driver.until("all ready")

    driver.process.terminate()

    driver.until("second did not stop in time and was killed")
    driver.until("all stopped")
    assert all(is_free(port) for port in driver.ports)


def test_parts_die_with_a_supervisor_that_is_killed(start: Callable[..., Driver], tmp_path: Path) -> None:
    driver = start()
    driver.until("all ready")

    driver.process.kill()

    eventually(lambda: all(is_free(port) for port in driver.ports))
    eventually(lambda: not StackLock(tmp_path).is_held())
    again = start(ports=driver.ports)
    again.until("all ready")


def test_second_stack_says_in_one_line_that_one_runs(start: Callable[..., Driver]) -> None:
    first = start()
    first.until("all ready")

    second = start()

    line = second.until("runs already")
    assert line == (
        f"The local stack runs already (process {first.process.pid}, at http://127.0.0.1:{first.ports[1]}): "
        "`streams local status` shows it, `streams local down` stops it."
    )
    assert second.process.wait(DEADLINE_SECONDS) == 2
    assert not is_free(first.ports[0])


def test_port_in_use_names_part_port_and_setting(start: Callable[..., Driver]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", free_port()))
        other.listen()
        taken = other.getsockname()[1]

        driver = start(ports=(free_port(), taken))

        assert driver.until("in use") == (
            f"Port {taken} is in use, and second needs it: stop what listens there, "
            "or choose another with STREAMS_SECOND_PORT."
        )
        assert driver.process.wait(DEADLINE_SECONDS) == 2


def test_part_that_cannot_start_ends_the_stack_with_its_last_line(start: Callable[..., Driver]) -> None:
    driver = start("broken")

    line = driver.until("did not start")

    assert line.startswith("second did not start: The moon is not in the right place. (log: ")
    assert driver.process.wait(DEADLINE_SECONDS) == 2
    assert is_free(driver.ports[0])


def test_down_stops_a_running_stack(start: Callable[..., Driver], tmp_path: Path) -> None:
    driver = start()
    driver.until("all ready")

    assert stop_stack(tmp_path)

    assert driver.process.wait(DEADLINE_SECONDS) == 0
    assert not stop_stack(tmp_path)


def test_down_kills_what_outlived_its_stack_and_nothing_else(start: Callable[..., Driver], tmp_path: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as left,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other,
    ):
        driver = start()
        driver.until("all ready")
        state = read_state(tmp_path)
        assert state is not None
        driver.process.terminate()
        driver.until("all stopped")
        driver.process.wait(DEADLINE_SECONDS)
        ours = PartState("first", left.pid, process_began(left.pid), "", None, "", 0)
        reused = PartState("second", other.pid, "another time", "", None, "", 0)
        write_state(type(state)(state.pid, state.address, [ours, reused]), tmp_path)

        assert stop_stack(tmp_path)

        assert left.wait(DEADLINE_SECONDS) == -signal.SIGKILL
        other.communicate(b"an end of its own\n")
        assert other.returncode == 0
