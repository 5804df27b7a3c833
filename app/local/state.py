"""What a running stack tells other commands: `.local/stack.json`, and a lock that only a living stack holds."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from app.model.errors import ConfigurationError


@dataclass(frozen=True)
class PartState:
    """One part as other commands see it; `began` tells its process from a later one with the same id."""

    name: str
    pid: int | None
    began: str
    address: str
    ready_url: str | None
    log_file: str
    restarts: int


@dataclass(frozen=True)
class StackState:
    """The stack as other commands see it."""

    pid: int
    address: str
    parts: list[PartState]

    def address_of(self, part: str) -> str | None:
        """None when it has no such part."""
        return next((one.address for one in self.parts if one.name == part), None)


class StackLock:
    """Held while the stack runs and let go by the kernel however it ends, so it is never stale."""

    def __init__(self, home: Path) -> None:
        self._path = home / "stack.lock"
        self._home = home

    def is_held(self) -> bool:
        """Whether a stack runs."""
        if not self._path.exists():
            return False
        with self._path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def __enter__(self) -> StackLock:
        """Take it. Raises ConfigurationError that says which stack has it."""
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a")
        except OSError as error:
            raise ConfigurationError(f"The local stack cannot write to {self._home}: {error.strerror}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            state = read_state(self._home)
            where = f" (process {state.pid}, at {state.address})" if state else ""
            raise ConfigurationError(
                f"The local stack runs already{where}: `streams local status` shows it, `streams local down` stops it."
            ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def write_state(state: StackState, home: Path) -> None:
    fresh = home / "stack.json.new"
    fresh.write_text(json.dumps(asdict(state), indent=2) + "\n")
    fresh.rename(home / "stack.json")


def read_state(home: Path) -> StackState | None:
    """The state that the last stack wrote; whether it still runs says the lock."""
    path = home / "stack.json"
    if not path.exists():
        return None
    written = json.loads(path.read_text())
    return StackState(**{**written, "parts": [PartState(**part) for part in written["parts"]]})


def running_stack(home: Path) -> StackState | None:
    """The state of the stack that runs; None when none does."""
    return read_state(home) if StackLock(home).is_held() else None


def forget_state(home: Path) -> None:
    (home / "stack.json").unlink(missing_ok=True)


def process_began(pid: int) -> str:
    """When the process began, in the system's own words; empty when there is no such process."""
    proc = Path("/proc")
    if proc.joinpath("self").exists():
        try:
            return proc.joinpath(str(pid), "stat").read_text().rpartition(")")[2].split()[19]
        except OSError:
            return ""
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def stop_stack(home: Path, timeout_seconds: float = 60) -> bool:
    """Stop the stack that runs, or what one that was killed left behind; whether there was anything to stop.

    Raises ConfigurationError when it does not stop in time.
    """
    state, lock = read_state(home), StackLock(home)
    if state is None:
        return False
    if not lock.is_held():
        return stop_leftovers(state, home) > 0
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_seconds
    while lock.is_held():
        if time.monotonic() > deadline:
            raise ConfigurationError(f"The local stack (process {state.pid}) did not stop in {timeout_seconds:.0f} s.")
        time.sleep(0.1)
    return True


def stop_leftovers(state: StackState, home: Path) -> int:
    """Kill the parts that outlived their stack (systems without a tie between the two); how many there were."""
    left = [part.pid for part in state.parts if part.pid and part.began and process_began(part.pid) == part.began]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    forget_state(home)
    return len(left)
