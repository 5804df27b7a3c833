"""Runs the emulator: binds its ports, serves until SIGTERM or SIGINT, stops cleanly (running jobs end, others wait)."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import signal
import socket
import sys

import orjson

from app.local.storage.config import EmulatorConfig
from app.model.errors import ConfigurationError

GRACE_SECONDS = 5
_M_ARENA_MAX = -8
_ARENAS = 2


def serve(config: EmulatorConfig) -> None:
    """Serve until told to stop; when ready, print one line `{"url": …, "s3_url": …}` on stdout.

    Raises ConfigurationError when a port is in use or the data is held by another emulator.
    """
    _bound_arenas()
    listener = _bind(config.host, config.port, "STREAMS_STORAGE_PORT")
    s3_listener = _bind(config.host, config.s3_port, "STREAMS_STORAGE_S3_PORT") if config.provider == "aws" else None
    import duckdb
    import uvicorn

    from app.local.storage.app import create_app
    from app.local.storage.faulty import AbortableProtocol
    from app.local.storage.storage import Storage

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    url = f"http://{config.host}:{listener.getsockname()[1]}"
    try:
        storage = Storage(config, url, s3_listener)
    except duckdb.IOException as error:
        raise ConfigurationError(
            f"The tables in {config.data_dir} cannot be opened; stop the emulator that uses them. ({error})"
        ) from error

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            sys.stdout.write(orjson.dumps({"url": storage.url, "s3_url": storage.s3_url}).decode() + "\n")
            sys.stdout.flush()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)
    server = Server(
        uvicorn.Config(
            create_app(storage),
            http=AbortableProtocol,
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    server.run(sockets=[listener])


def _bound_arenas() -> None:
    """Let glibc's malloc keep two heaps instead of one for each thread: uploads come in many threads (200 MB less)."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library has no mallopt
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def _stopped(number: int, frame: object) -> None:
    """Take the signal that uvicorn sends again after a clean stop, so that the exit code is 0."""


def _bind(host: str, port: int, setting: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"The Storage emulator cannot listen on {host}:{port}: {error.strerror}. "
            f"Stop what uses the port or choose another by {setting}."
        ) from error
    listener.listen(1024)
    return listener
