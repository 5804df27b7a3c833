"""A process that is stopped for a while (SIGSTOP), as if its machine hung: connections stay open, nobody answers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        while any(task.read_text().rpartition(")")[2].split()[0] != "T" for task in _threads(pid)):
            time.sleep(0.005)  # each thread stops at its next step, and may answer a request until then
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _threads(pid: int) -> list[Path]:
    return list(Path(f"/proc/{pid}/task").glob("*/stat"))
