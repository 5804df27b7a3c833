"""A proxy before the gateway that answers for it by a test's plan: errors, silence, answers that get lost."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar

TIMEOUT_SECONDS = 60
_KEPT_BY_PROXY = frozenset({"connection", "content-length", "transfer-encoding", "host", "date", "server"})


@dataclass(frozen=True)
class Reply:
    """`after`: the gateway has taken the request all the same, only its answer is lost."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    after: bool = False


@dataclass(frozen=True)
class Request:
    """`number` from 0, over all connections; `read_at` in seconds of the monotonic clock."""

    number: int
    headers: Mapping[str, str]
    body: bytes
    read_at: float


Plan = Callable[[Request], Reply | None]


def always_forward(_request: Request) -> Reply | None:
    return None


class UnreliableGateway:
    """Listens on a port of its own; `plan` says what is answered, None what the gateway answers."""

    def __init__(self, gateway: tuple[str, int], plan: Plan = always_forward) -> None:
        self.plan = plan
        self.answered: list[int] = []
        """Statuses in the order of the answers."""
        self._gateway = gateway
        self._lock = threading.Lock()
        self._count = 0
        self._speaks = threading.Event()
        self._speaks.set()

        class Handler(_Handler):
            proxy = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def fall_silent(self) -> None:
        """Requests are read and not answered until `speak`."""
        self._speaks.clear()

    def speak(self) -> None:
        self._speaks.set()

    def __enter__(self) -> UnreliableGateway:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.speak()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: _Handler) -> None:
        body = handler.read_body()
        with self._lock:
            number = self._count
            self._count += 1
        reply = self.plan(Request(number, dict(handler.headers), body, time.monotonic()))
        self._speaks.wait()
        if reply is None or reply.after:
            status, headers, content = handler.forward(self._gateway, body)
            reply = reply or Reply(status, headers)
        else:
            content = b""
        with self._lock:
            self.answered.append(reply.status)
        handler.answer(reply, content)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: ClassVar[UnreliableGateway]

    def setup(self) -> None:
        super().setup()
        self._onward: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self._onward is not None:
            self._onward.close()
        super().finish()

    def do_POST(self) -> None:
        try:
            self.proxy._answer(self)
        except OSError:  # the sender has gone, or the gateway is being stopped
            self.close_connection = True

    def log_message(self, *_arguments: object) -> None:
        """Silent: what was answered is kept."""

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def forward(self, gateway: tuple[str, int], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if self._onward is None:
            self._onward = http.client.HTTPConnection(*gateway, timeout=TIMEOUT_SECONDS)
        self._onward.putrequest("POST", self.path, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _KEPT_BY_PROXY:
                self._onward.putheader(name, value)
        self._onward.putheader("Content-Length", str(len(body)))
        self._onward.endheaders(body)
        answer = self._onward.getresponse()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _KEPT_BY_PROXY}
        return answer.status, headers, answer.read()

    def answer(self, reply: Reply, content: bytes) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
