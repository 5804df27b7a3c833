"""The Storage API over HTTP: which path goes to which route, tokens, Storage's error bodies.

Routes run in threads, so a slow one holds nobody up. What each endpoint answers is in `routes`, one module a noun.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.local.storage.errors import ApiError, error_body
from app.local.storage.faulty import FaultyApi
from app.local.storage.params import Params
from app.local.storage.routes import buckets, events, files, jobs, tables, tokens
from app.local.storage.routes.call import Answer, Call, Handler
from app.local.storage.routes.local import local_routes
from app.local.storage.scopes import authenticate
from app.local.storage.storage import Storage

_BRANCH = re.compile(r"^/v2/storage/branch/[^/]+(?=/)")
_ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/tokens/verify", tokens.verify),
    ("GET", "/tokens", tokens.index),
    ("POST", "/tokens", tokens.create),
    ("GET", "/tokens/{token_id}", tokens.detail),
    ("PUT", "/tokens/{token_id}", tokens.update),
    ("DELETE", "/tokens/{token_id}", tokens.delete),
    ("POST", "/tokens/{token_id}/refresh", tokens.refresh),
    ("POST", "/tickets", tokens.create_ticket),
    ("GET", "/buckets", buckets.index),
    ("POST", "/buckets", buckets.create),
    ("GET", "/buckets/{bucket_id}", buckets.detail),
    ("DELETE", "/buckets/{bucket_id}", buckets.delete),
    ("GET", "/buckets/{bucket_id}/tables", buckets.tables),
    ("POST", "/buckets/{bucket_id}/tables-definition", tables.define),
    ("POST", "/buckets/{bucket_id}/tables-async", tables.create_async),
    ("GET", "/tables", tables.index),
    ("GET", "/tables/{table_id}", tables.detail),
    ("DELETE", "/tables/{table_id}", tables.delete),
    ("POST", "/tables/{table_id}/import-async", tables.import_async),
    ("GET", "/tables/{table_id}/data-preview", tables.preview),
    ("POST", "/files/prepare", files.prepare),
    ("GET", "/files", files.index),
    ("GET", "/files/{file_id}", files.detail),
    ("DELETE", "/files/{file_id}", files.delete),
    ("PUT", "/files/{file_id}/refresh", files.refresh),
    ("POST", "/files/{file_id}/tags", files.add_tag),
    ("DELETE", "/files/{file_id}/tags/{tag:path}", files.remove_tag),
    ("GET", "/events", events.index),
    ("POST", "/events", events.create),
    ("GET", "/jobs", jobs.index),
    ("GET", "/jobs/{job_id}", jobs.detail),
]


def create_app(storage: Storage) -> ASGIApp:
    """Make the ASGI application of an open `Storage`; its shutdown closes the storage."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(storage.close)

    routes = [
        Route(f"/v2/storage{path}", _endpoint(storage, handler), methods=[method]) for method, path, handler in _ROUTES
    ]
    index = _index(storage)
    api = Starlette(
        routes=[
            *(Route(path, index) for path in ("/v2/storage", "/v2/storage/")),
            *routes,
            *local_routes(storage),
        ],
        exception_handlers={HTTPException: _render_http_error, Exception: _render_crash},
        lifespan=lifespan,
    )
    return FaultyApi(_Unbranched(api), storage.faults)


class _Unbranched:
    """Takes `/branch/<id>` out of paths: the emulator has the default branch only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": _BRANCH.sub("/v2/storage", scope["path"])}
        await self._app(scope, receive, send)


def _endpoint(storage: Storage, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(_handle, storage, handler, request, body)

    return endpoint


def _handle(storage: Storage, handler: Handler, request: Request, body: bytes) -> Response:
    try:
        text = request.headers.get("x-storageapi-token", "")
        call = Call(
            storage=storage,
            token=authenticate(storage.metadata, text),
            token_text=text,
            path=request.path_params,
            params=Params.parse(request.scope["query_string"], body, request.headers.get("content-type", "")),
            run_id=request.headers.get("x-kbc-runid") or None,
            fault=request.scope.get("local.job_fault"),
        )
        return _render(handler(call))
    except ApiError as error:
        return _render(Answer(error.status, error_body(error.code, error.message)))


def _render(answer: Answer) -> Response:
    if answer.body is None:
        return Response(status_code=answer.status)
    if isinstance(answer.body, str):
        return Response(answer.body, answer.status, media_type="text/csv")
    return Response(orjson.dumps(answer.body), answer.status, media_type="application/json")


async def _render_http_error(request: Request, error: Any) -> Response:
    message = (
        f"{request.method} {request.url.path}: {error.detail}. The local emulator has only what Data Streams uses."
    )
    return _render(Answer(error.status_code, error_body("notFound", message)))


async def _render_crash(request: Request, error: Exception) -> Response:
    return _render(Answer(500, error_body("internalError", f"{type(error).__name__}: {error}")))


def _index(storage: Storage) -> Callable[[Request], Awaitable[Response]]:
    async def index(request: Request) -> Response:
        body = {
            "api": "storage",
            "version": "v2",
            "host": storage.url,
            "services": [],
            "features": [],
            "urlTemplates": {},
        }
        return _render(Answer(200, body))

    return index
