"""`python parent.py SOCKET_FD`: imports what it is told to, and forks a process for each request.

A request is a datagram: JSON and four file descriptors, which are stdin, stdout and stderr of the process, and a pipe
that gets its exit code, as Popen has it, when it has ended. A datagram with the process id answers it. It has one
thread, always, or what it forks might hold a lock for good.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1


def serve(requests: socket.socket) -> dict[str, Any] | None:
    """Returns in each process that is forked, with its request; and here, with None, when nobody asks any more."""
    ended: dict[int, int] = {}
    wake_up, woken = os.pipe2(os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(wake_up, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == wake_up:
                    os.read(wake_up, 512)
                    _tell_ends(ended)
                    continue
                data, fds, _, _ = socket.recv_fds(requests, MOST_BYTES, 4)
                if not data:
                    return None
                request: dict[str, Any] = json.loads(data)
                _prepare(request["imports"])
                parent = os.getpid()
                pid = os.fork()
                if pid == 0:
                    _tie_to(parent)
                    for fd in (wake_up, woken, fds[3], *ended.values()):
                        os.close(fd)
                    requests.close()
                    _take(request, fds[:3])
                    return request
                ended[pid] = fds[3]
                for fd in fds[:3]:
                    os.close(fd)
                requests.send(str(pid).encode())


def _prepare(imports: list[str]) -> None:
    if any(name not in sys.modules for name in imports):
        for name in imports:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()
    threads = len(list(Path("/proc/self/task").iterdir()))
    assert threads == 1, f"{threads} threads: what it imports must start none"


def _tell_ends(ended: dict[int, int]) -> None:
    while ended:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        fd = ended.pop(pid)
        os.write(fd, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(fd)


def _tie_to(parent: int) -> None:
    """Die with it, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _take(request: dict[str, Any], standard: list[int]) -> None:
    """Be the process that is asked for."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, fd in enumerate(standard):
        os.dup2(fd, number)
        os.close(fd)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv, sys.path[0] = ["-c", *request["arguments"]], ""


def main() -> None:
    _tie_to(int(sys.argv[2]))
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        exec(request["code"], {"__name__": "__main__"})


if __name__ == "__main__":
    main()
