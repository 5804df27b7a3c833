"""Emulators of Azure's and Google's storage as child processes, and a front before them that refuses what it is told.

Azurite comes from npm, as `azurite/package-lock.json` pins it, into .local/azurite, once.
"""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from app.local.ports import free_port

ROOT = Path(__file__).parents[2]
_PINS = Path(__file__).parent / "azurite"
_KEPT = ROOT / ".local" / "azurite" / "3.35.0"
_START_SECONDS = 60


@contextmanager
def azurite() -> Iterator[str]:
    """The address of an Azurite whose blobs are in memory. It knows no API as new as the SDK's, so it must not look."""
    if not _KEPT.exists():
        _install()
    program = _KEPT / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence", "--skipApiVersionCheck"]
    command = ["node", str(program), *options, "--disableTelemetry", "--silent"]
    with _child(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            listening = re.search(rb"listens on (http://\S+)", line)
            if listening:
                yield listening[1].decode()
                return
    raise RuntimeError("Azurite did not start")


@contextmanager
def google() -> Iterator[str]:
    """The address of an emulator of Google's storage whose objects are in memory."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "gcp-storage-emulator"), "start", "--quiet", "--in-memory"]
    with _child([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _child(command: list[str], stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _install() -> None:
    subprocess.run([ROOT / "scripts" / "prerequisites", "npm"], check=True)
    _KEPT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_KEPT.parent) as folder:
        for pins in _PINS.iterdir():
            shutil.copy(pins, folder)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=optional", "--silent"]
        subprocess.run(["npm", "ci", *options], check=True, cwd=folder)
        made = Path(folder, "whole")
        made.mkdir()
        Path(folder, "node_modules").rename(made / "node_modules")
        with suppress(OSError):  # somebody else was faster
            made.rename(_KEPT)


@dataclass
class Front:
    """What requests to a cloud go through."""

    server: ThreadingHTTPServer
    statuses: list[int] = field(default_factory=list)
    """Answers to the next requests instead of the cloud's."""
    ended: set[str] = field(default_factory=set)
    """Bearer tokens that are refused with 401."""
    tokens: list[str] = field(default_factory=list)
    """Bearer tokens in the order they came."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def clear(self) -> None:
        self.statuses.clear()
        self.ended.clear()
        self.tokens.clear()


@contextmanager
def front(behind: str) -> Iterator[Front]:
    """A front before the cloud at this address."""
    fronts: list[Front] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            fronts[0].tokens.append(token)
            if token in fronts[0].ended:
                self._answer(401, [], b"")
            elif fronts[0].statuses:
                self._answer(fronts[0].statuses.pop(0), [], b"")
            else:
                self._pass_on(body)

        do_POST = do_PUT = do_HEAD = do_GET  # as the base class names them

        def _pass_on(self, body: bytes) -> None:
            connection = http.client.HTTPConnection(behind.removeprefix("http://"), timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            kept = [
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "keep-alive")
            ]
            self._answer(answer.status, kept, answer.read())
            connection.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fronts.append(Front(server))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield fronts[0]
        server.shutdown()
