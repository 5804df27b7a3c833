"""Metrics, liveness and readiness of a process over HTTP, from a thread of its own, so that a stuck loop still answers.

GET /health-check: 200 "OK" while the process is alive by its own judgement, else 503: restart it. GET /ready: 200 "OK"
while it can do its work, else 503 with the reason: wait. GET /metrics: Prometheus.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.model.errors import ConfigurationError


class MetricsServer:
    """A running server; close it, or use it as a context manager."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._server = server
        self.port: int = server.server_address[1]
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve_metrics(
    port: int, address: str, alive: Callable[[], bool], why_not_ready: Callable[[], str | None]
) -> MetricsServer:
    """Serve on this port (0: a free one). Both functions are called from another thread; None says ready.

    Raises ConfigurationError when the port cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health-check":
                well = alive()
                self._answer(200 if well else 503, "text/plain", b"OK" if well else b"not alive")
            elif self.path == "/ready":
                why_not = why_not_ready()
                self._answer(200 if why_not is None else 503, "text/plain", (why_not or "OK").encode())
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            else:
                self._answer(404, "text/plain", b"There is /health-check, /ready and /metrics.")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests of monitors are not events."""

    try:
        return MetricsServer(ThreadingHTTPServer((address, port), Handler))
    except OSError as error:
        raise ConfigurationError(
            f"Metrics cannot be served on {address}:{port}: {error.strerror}. "
            "Stop what uses the port, or set STREAMS_CONTROL_PORT, STREAMS_MAPPER_PORT or STREAMS_SINK_PORT."
        ) from error
