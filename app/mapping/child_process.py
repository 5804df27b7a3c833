"""One mapping child as its parent sees it: started, spoken to, read, killed."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from app.mapping.progress import SIZE_BYTES, Position, Progress
from app.mapping.wire import LENGTH_BYTES, READY, framed, parsed
from app.model.engine import Engine

_ROOT = Path(__file__).parents[2]
_BUFFER_BYTES = 1 << 20
_READ_LIMIT_BYTES = 4 << 20
_START_SECONDS = 60.0
_STOP_SECONDS = 2.0


class ChildGone(RuntimeError):
    """The child ended, or did not start."""


class ChildProcess:
    """A child that can be started again after it ended. Used by one task at a time.

    `known` are the keys of the definitions that the running process has.
    """

    def __init__(self, memory_mib: int, engine: Engine = Engine.RJSONNET) -> None:
        self._memory_mib = memory_mib
        self._engine = engine
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._shared = _shared_memory(SIZE_BYTES)
        self._progress = Progress(self._shared)
        self._spent = False
        self._one_start = asyncio.Lock()
        self.known: set[str] = set()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def is_running(self) -> bool:
        """Whether it runs and was not told to end."""
        return not self._spent and self.pid is not None and self._reader is not None and not self._reader.at_eof()

    async def start(self) -> None:
        """See that it runs and waits for work. Raises ChildGone when it cannot be started."""
        async with self._one_start:
            if not self.is_running:
                await self._start()

    async def _start(self) -> None:
        await self._end()
        self._spent = False
        self.known.clear()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        fds = (theirs.fileno(), self._shared)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "app.mapping.child"),
                *map(str, (*fds, os.getpid(), self._memory_mib, self._engine)),
                pass_fds=fds,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=_environment(),
            )
        except OSError as error:
            ours.close()
            raise ChildGone(f"A mapping process could not be started: {error}") from error
        finally:
            theirs.close()
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=_READ_LIMIT_BYTES)
        try:
            ready = await asyncio.wait_for(self.receive(), _START_SECONDS)
        except (ChildGone, TimeoutError):
            ready = None
        if ready != READY:
            self.kill()
            raise ChildGone("A mapping process ended while it started; its own message is above.")

    async def send(self, message: Any) -> None:
        """Give it a message whole. Raises ChildGone."""
        assert self._writer is not None
        self._progress.clear()
        try:
            self._writer.write(framed(message))
            await self._writer.drain()
        except OSError as error:
            self._spent = True
            raise ChildGone("A mapping process ended.") from error

    async def receive(self) -> Any:
        """Its next message. Raises ChildGone when it ended before the end of one."""
        assert self._reader is not None
        try:
            length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
            return parsed(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError) as error:
            self._spent = True
            raise ChildGone("A mapping process ended.") from error

    def stop_job(self, job: int) -> None:
        """Let it end the job with this number before its next event."""
        self._progress.stop_job(job)

    def position(self) -> Position:
        return self._progress.read()

    def cpu_seconds(self) -> float:
        """CPU time of the process, 0 when there is none (any more); where the system does not tell, time itself."""
        if sys.platform == "linux":
            try:
                return 0.0 if self.pid is None else time.clock_gettime((~self.pid << 3) | 2)
            except OSError:  # it has just ended
                return 0.0
        return time.monotonic()

    def kill(self) -> None:
        """End it at once. What it had answered can still be received; `start` starts another."""
        self._spent = True
        if self.pid is not None and self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        """End it and let go of all that was held for it; not to be started again."""
        await self._end()
        self._progress.close()
        os.close(self._shared)

    async def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = self._reader = None
        if self._process is not None:
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self.kill()
                await self._process.wait()
            self._process = None


def _shared_memory(size: int) -> int:
    """A file descriptor of so many bytes that a child can map too."""
    if sys.platform == "linux":
        fd = os.memfd_create("mapping-progress")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.truncate(fd, size)
    return fd


def _environment() -> dict[str, str]:
    """Ours without our settings (they hold keys), with the program on the path and one thread for Arrow."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("STREAMS_")}
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return ours | {
        "PYTHONPATH": os.pathsep.join(paths),
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "OMP_NUM_THREADS": "1",
        "RUST_BACKTRACE": "0",
    }
