"""Child processes of the local stack: each dies with us, none sees our Ctrl-C, all stop within a bound."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from app.local import tether


class Child:
    """A process that can be started again after it ended. What it is and how it starts is left to the subclass."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs, else None."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def poll(self) -> int | None:
        """None while it runs, else its exit code as Popen has it (1 when it was never started)."""
        return self._process.poll() if self._process else 1

    def terminate(self) -> None:
        """Ask it to stop (SIGTERM); `stop` also waits."""
        if self._process is not None:
            self._process.terminate()

    def stop(self, timeout_seconds: float = 20) -> None:
        """Stop cleanly; after `timeout_seconds` by force. Does nothing when it does not run."""
        if self._process is None:
            return
        self.terminate()
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def start_child(
    command: Sequence[str],
    output: IO[bytes] | None,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    lock: IO[str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` with stdout and stderr in `output` (None: ours), tied to this process.

    The child holds `lock`, an open file that we locked, as long as it lives, however we end.

    Call it from a thread that lives as long as the child should: the kernel takes that thread for the parent.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(tether.__file__), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        cwd=cwd,
        env=env,
        pass_fds=[] if lock is None else [lock.fileno()],
        start_new_session=True,  # Ctrl-C is ours to pass on, in order
    )
