"""The gateway's routes beside ingest: validation, liveness, readiness, metrics; the Buffer API has all others.

`/health-check` says that the process is alive, `/ready` that it can accept: Kafka answers, the view of the control log
is fresh, the API is open.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.errors import envelope
from app.api.http import RequestId
from app.gateway.directory import IMPORT
from app.gateway.lane import Lane
from app.gateway.metrics import GatewayCollector
from app.gateway.query import wants_validation
from app.gateway.validation import Validation

_IMPORT_METHODS = "POST, OPTIONS"
_OWN_METHODS = "GET, HEAD, OPTIONS"
_IMPORT_PREFIX = IMPORT.decode()


class Gateway:
    """The ASGI application. `api` is set when the API has opened; before that its routes answer 503."""

    def __init__(self, lane: Lane, validation: Validation) -> None:
        self.api: ASGIApp | None = None
        self._lane = lane
        self._validation = validation
        self._registry = CollectorRegistry()
        self._registry.register(
            GatewayCollector(lane.counters, lambda: lane.levels, lambda: self._why_not_ready() is None)
        )
        self._own = RequestId(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if self.api is None or path in ("/health-check", "/ready", "/metrics") or path.startswith(_IMPORT_PREFIX):
            await self._own(scope, receive, send)
        else:
            await self.api(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _asks_to_validate(scope):
            answer = await self._validation.answer(Request(scope, receive))
        else:
            answer = self._route(scope)
        await answer(scope, receive, send)

    def _route(self, scope: Scope) -> Response:
        path, method, request_id = scope["path"], scope["method"], scope["request_id"]
        allowed = _IMPORT_METHODS if path.startswith(_IMPORT_PREFIX) else _OWN_METHODS
        if method == "OPTIONS":
            return _options(allowed)
        if path.startswith(_IMPORT_PREFIX):
            return self._not_allowed(method, request_id, allowed)
        if path not in ("/health-check", "/ready", "/metrics"):
            return self._unavailable(request_id, "The gateway has just started and does not see Kafka yet.")
        if method not in ("GET", "HEAD"):
            return self._not_allowed(method, request_id, allowed)
        if path == "/ready":
            return self._ready(request_id)
        if path == "/metrics":
            text = generate_latest(REGISTRY) + generate_latest(self._registry)
            return Response(text, media_type=CONTENT_TYPE_LATEST)
        return PlainTextResponse("OK")

    def _ready(self, request_id: str) -> Response:
        why_not = self._why_not_ready()
        return PlainTextResponse("OK") if why_not is None else self._unavailable(request_id, why_not)

    def _why_not_ready(self) -> str | None:
        if self.api is None:
            return "Not ready: Kafka or the control log has not been reached yet."
        return "Not ready: touch with Kafka is lost." if self._lane.stale else None

    def _not_allowed(self, method: str, request_id: str, allowed: str) -> Response:
        text = f"Method {method} is not allowed here; allowed: {allowed}."
        answer = envelope(request_id, 405, "buffer.methodNotAllowed", text)
        answer.headers["Allow"] = allowed
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    def _unavailable(self, request_id: str, message: str) -> Response:
        seconds = self._lane.settings.retry_after_seconds
        return envelope(request_id, 503, "buffer.kafkaUnavailable", message, seconds)


def _options(allowed: str) -> Response:
    headers = {
        "Allow": allowed,
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": allowed.removesuffix(", OPTIONS"),
        "Access-Control-Allow-Headers": "*, Authorization",  # which the star does not cover
        "Access-Control-Max-Age": "600",
    }
    return Response(status_code=204, headers=headers)


def _asks_to_validate(scope: Scope) -> bool:
    """All other events are the lane's and do not come here."""
    if scope["method"] != "POST" or not scope["path"].startswith(_IMPORT_PREFIX):
        return False
    return wants_validation(b"?" + scope["query_string"])
