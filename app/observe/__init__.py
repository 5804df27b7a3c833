"""How a process is watched: metrics, liveness and readiness over HTTP, a pulse of the event loop, traces."""

from app.observe.server import MetricsServer, serve_metrics

__all__ = ["MetricsServer", "serve_metrics"]
