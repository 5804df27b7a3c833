"""The side of whoever wants a process: what Popen offers, of a process that is not our child but has a pidfd."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_PARENT = Path(__file__).with_name("parent.py")


class Warm:
    """A process that was forked for us."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended
        self._pidfd: int | None = None
        with suppress(ProcessLookupError):  # one that has ended at once
            self._pidfd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit code, as Popen has it; None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Does nothing where it has ended."""
        if self.poll() is None and self._pidfd is not None:
            with suppress(ProcessLookupError):  # it has ended, and we are not told yet
                signal.pidfd_send_signal(self._pidfd, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is not None:
            return self.returncode
        told = select.poll()
        told.register(self._ended, select.POLLIN)
        if told.poll(None if seconds is None else seconds * 1000):
            said = os.read(self._ended, 16)
            assert said, "the parent of all has ended"
            self.returncode = int(said)
            os.close(self._ended)
            if self._pidfd is not None:
                os.close(self._pidfd)
        return self.returncode


Running = subprocess.Popen[Any] | Warm


class _Parent:
    """Started by the first who needs it, with this process's environment and working directory; ends with us."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def fork(self, request: dict[str, Any], standard: Sequence[int]) -> Warm:
        with self._lock:
            if self._requests is None:
                self._requests = self._start()
            read, write = os.pipe()
            try:
                socket.send_fds(self._requests, [json.dumps(request).encode()], [*standard, write])
            finally:
                os.close(write)
            answer = self._requests.recv(16)
            assert answer, "the parent of all has ended"
            return Warm(int(answer), read)

    def _start(self) -> socket.socket:
        assert threading.current_thread() is threading.main_thread(), "it would die with the thread that starts it"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_PARENT), str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)
        return ours

    def _end(self) -> None:
        assert self._requests is not None
        assert self._process is not None
        self._requests.close()
        self._process.wait()


_parent = _Parent()


def start_streams(command: str, environment: Mapping[str, str], log: IO[Any], folder: Path | None = None) -> Running:
    """`streams gateway|control|mapper|sink`, with its output in `log`."""
    return start(
        "from app.cli import main; main()",
        imports=["app.cli", f"app.{command}.process", *(["app.keboola.s3"] if command == "sink" else [])],
        environment=environment,
        stdout=log,
        stderr=log,
        arguments=[command],
        folder=folder,
    )


def start(
    code: str,
    *,
    imports: Sequence[str],
    environment: Mapping[str, str],
    stdout: IO[Any] | int,
    stderr: IO[Any] | int,
    stdin: IO[Any] | int = subprocess.DEVNULL,
    arguments: Sequence[str] = (),
    folder: Path | None = None,
) -> Running:
    """Run `code`, which finds `imports` done. It must not need that anything of them sees its environment."""
    if not hasattr(os, "pidfd_open"):
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.Popen(command, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder)
    request = {
        "code": code,
        "imports": list(imports),
        "environment": dict(environment),
        "folder": str(folder or Path.cwd()),
        "arguments": list(arguments),
    }
    with Path(os.devnull).open("rb") as nothing:
        standard = [
            nothing.fileno() if stream == subprocess.DEVNULL else stream if isinstance(stream, int) else stream.fileno()
            for stream in (stdin, stdout, stderr)
        ]
        return _parent.fork(request, standard)
