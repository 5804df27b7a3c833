"""What every answer has: an X-Request-Id, and the envelope even when the request met a defect of ours."""

from __future__ import annotations

import logging
import secrets
import string

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import crash_answer

REQUEST_ID_LENGTH = 15
_ALPHABET = string.ascii_letters + string.digits
_log = logging.getLogger(__name__)


class RequestId:
    """Outermost: gives each request an id (`scope["request_id"]`) and each answer the header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = "".join(secrets.choice(_ALPHABET) for _ in range(REQUEST_ID_LENGTH))
        scope["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)


class AnswerOptions:
    """OPTIONS on any path is 204; what a browser asks before a request never gets here (CORS answers it)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await Response(status_code=204)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class AssumeJson:
    """A body is JSON, whatever its Content-Type says: curl says of JSON that it is a form unless told otherwise.

    A browser that sends a form to us does no harm, because it cannot send the token's header with it. What was sent is
    in `scope["sent_headers"]`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            assumed = [*others, (b"content-type", b"application/json")]
            scope = {**scope, "headers": assumed, "sent_headers": scope["headers"]}
        await self._app(scope, receive, send)


class BodyLimit:
    """A body above the limit is 413 as soon as that is known. FastAPI's own limit answers in plain text (0.165)."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = Headers(scope=scope).get("content-length", "0") if scope["type"] == "http" else "0"
        size = 0

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes or (announced.isdigit() and int(announced) > self._max_bytes):
                raise HTTPException(413)  # what Starlette renders by our handler, in the middle of reading a body too
            return message

        await self._app(scope, receive_some, send)


class CrashAnswer:
    """Answers 500 when a route raises what is no StreamsError; the log has the trace under the request's id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            _log.exception("request %s failed: %s %s", scope["request_id"], scope["method"], scope["path"])
            await crash_answer(scope["request_id"])(scope, receive, send)
