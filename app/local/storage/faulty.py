"""Where fault rules act: in front of the API (ASGI), in front of the S3 server (WSGI), and at the connection.

`AbortableProtocol` hands the connection's transport to the application, because ASGI has no way to reset a connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.local.storage.errors import error_body
from app.local.storage.faults import FaultRule, Faults

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_TRANSPORT = "local.transport"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class AbortableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with the transport in the scope of each request."""

    def on_message_begin(self) -> None:
        """Start a request; called by the parser before its first header."""
        super().on_message_begin()
        scope = cast(Scope, self.scope)
        scope[_TRANSPORT] = self.transport


class FaultyApi:
    """ASGI in front of the API that carries the fault rules out."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = None
        if scope["type"] == "http" and not scope["path"].startswith("/local/"):
            rule = self._faults.take(scope["method"], scope["path"])
        if rule is None:
            await self._app(scope, receive, send)
        elif rule.job_fault() is not None:
            scope["local.job_fault"] = rule.job_fault()
            await self._app(scope, receive, send)
        else:
            await self._act(rule, scope, receive, send)

    async def _act(self, rule: FaultRule, scope: Scope, receive: Receive, send: Send) -> None:
        match rule.effect:
            case "status":
                await _answer(rule, send)
            case "status_after":
                await self._app(scope, receive, _discard)
                await _answer(rule, send)
            case "reset":
                _reset(scope)
            case "reset_after":
                await self._app(scope, receive, _discard)
                _reset(scope)
            case "delay":
                await asyncio.sleep(rule.seconds)
                await self._app(scope, receive, send)
            case "delay_after":
                messages: list[Message] = []

                async def keep(message: Message) -> None:
                    messages.append(message)

                await self._app(scope, receive, keep)
                await asyncio.sleep(rule.seconds)
                for message in messages:
                    await send(message)
            case "late":
                await self._act_late(rule, scope, receive)
                await _answer(rule, send)

    async def _act_late(self, rule: FaultRule, scope: Scope, receive: Receive) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def later() -> None:
            await asyncio.sleep(rule.seconds)
            await self._app(scope, replay, _discard)

        task = asyncio.create_task(later())
        self._late.add(task)
        task.add_done_callback(self._late.discard)


class FaultyS3:
    """WSGI in front of the S3 server that carries out the rules that can act there."""

    def __init__(self, app: WSGIApplication, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        rule = self._faults.take(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if rule is None or rule.effect not in ("status", "status_after", "delay"):
            return self._app(environ, start_response)
        if rule.effect == "delay":
            time.sleep(rule.seconds)
            return self._app(environ, start_response)
        if rule.effect == "status_after":
            list(self._app(environ, lambda status, headers, exc_info=None: lambda body: None))
        else:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        body = f"<Error><Code>InjectedFailure</Code><Message>{rule.message}</Message></Error>".encode()
        start_response(
            f"{rule.status} Injected", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        )
        return [body]


async def _answer(rule: FaultRule, send: Send) -> None:
    body = orjson.dumps(error_body(rule.code, rule.message))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if rule.retry_after is not None:
        headers.append((b"retry-after", str(rule.retry_after).encode()))
    await send({"type": "http.response.start", "status": rule.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _discard(message: Message) -> None:
    """Take an answer and send nothing."""


def _reset(scope: Scope) -> None:
    """Reset the connection: the sender sees ECONNRESET, or the end of the stream, instead of an answer."""
    transport: Any = scope[_TRANSPORT]
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
