"""A mapping child: reads batches from its parent, maps them, answers export by export.

Run by `app.mapping.children` as a process of its own, because a template can neither be interrupted nor kept from
taking memory. It has no state worth keeping: whatever goes wrong, it ends, and the parent starts another.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from app.mapping.progress import JobWatch, Progress
from app.mapping.rows import map_batch
from app.mapping.wire import LENGTH_BYTES, READY, framed, pack_segments, parsed, unpack_batch, unpack_mapping
from app.model.engine import Engine
from app.model.receiver import Mapping

EXIT_MEMORY = 77
"""Exit code of a child that ran out of memory and noticed."""
_PR_SET_PDEATHSIG = 1
_MAPPED, _RESIDENT = 0, 1
_RETIRE_BYTES = 150 << 20


def main(arguments: list[str]) -> None:
    """Serve until the parent closes the connection.

    Arguments: socket fd, progress fd, parent's pid, memory in MiB, the engine.
    """
    socket_fd, progress_fd, parent, memory_mib = map(int, arguments[:4])
    engine = Engine(arguments[4])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(parent)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    connection = socket.socket(fileno=socket_fd)
    progress = Progress(progress_fd)
    # What templates trace and how the engine panics is not for our log.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    _limit_memory(memory_mib)
    connection.sendall(framed(READY))
    try:
        serve(connection, progress, engine)
    except MemoryError:
        os._exit(EXIT_MEMORY)


def serve(connection: socket.socket, progress: Progress, engine: Engine) -> None:
    """Answer requests until the connection ends.

    A request is (whether to forget what is known, [(key, mapping)], batch, [(key, start, stop)], whether rows are
    wanted). For each job comes (segments, "", seconds, leaving) or (None, error, seconds, leaving), in order.
    `seconds` is the CPU time taken; `leaving` says that the child wants no more work (the engine leaks when a template
    makes it panic).
    """
    mappings: dict[str, Mapping] = {}
    while True:
        try:
            forget, definitions, packed, jobs, rows = parsed(_read_frame(connection))
        except (EOFError, ConnectionResetError):
            return
        if forget:
            mappings.clear()
        mappings.update((key, unpack_mapping(definition)) for key, definition in definitions)
        events = unpack_batch(packed)
        for number, (key, start, stop) in enumerate(jobs):
            progress.begin_job(number)
            begun = time.process_time()
            answer: Any
            try:
                segments = map_batch(mappings[key], events, JobWatch(progress), start, stop, engine)
                answer, error = pack_segments(segments, rows), ""
            except MemoryError:
                raise
            except Exception as problem:
                answer, error = None, f"{type(problem).__name__}: {problem}"
            leaving = number == len(jobs) - 1 and _is_bloated()
            connection.sendall(framed((answer, error, time.process_time() - begun, leaving)))


def _read_frame(connection: socket.socket) -> bytearray:
    return _read(connection, int.from_bytes(_read(connection, LENGTH_BYTES), "big"))


def _read(connection: socket.socket, count: int) -> bytearray:
    """Exactly so many bytes. Raises EOFError."""
    buffer = bytearray(count)
    view = memoryview(buffer)
    while view:
        received = connection.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return buffer


def _is_bloated() -> bool:
    """Whether memory is still held that nothing here holds."""
    if _statm(_RESIDENT) <= _RETIRE_BYTES:
        return False
    ctypes.CDLL(None).malloc_trim(0)
    return _statm(_RESIDENT) > _RETIRE_BYTES


def _statm(field: int) -> int:
    """Bytes by /proc/self/statm; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)


def _limit_memory(memory_mib: int) -> None:
    """At most so much more address space than the program itself has mapped; no core files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        limit = _statm(_MAPPED) + (memory_mib << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(sys.argv[1:])
