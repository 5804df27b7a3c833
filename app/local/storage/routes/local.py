"""The emulator's own endpoints, below `/local/`, without a token: they are for the local stack and for tests.

- `GET /local/health` -> `{"status": "ok"}`
- `POST /local/sql` `{"query": "select …"}` -> `{"columns": […], "rows": [[…]]}`: one read-only query on the tables
- `GET /local/faults` -> the fault rules in force, each with `used`
- `POST /local/faults`, one rule or a list -> adds them (see `app.local.storage.faults`)
- `DELETE /local/faults` -> forgets them
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.local.storage.errors import error_body
from app.local.storage.faults import FaultRule
from app.local.storage.storage import Storage

_RULES = TypeAdapter(list[FaultRule])


def local_routes(storage: Storage) -> list[Route]:
    """Make the routes of one emulator."""
    faults = storage.faults

    async def health(request: Request) -> Response:
        return _json(200, {"status": "ok"})

    async def sql(request: Request) -> Response:
        try:
            query = orjson.loads(await request.body())["query"]
            columns, rows = await run_in_threadpool(storage.warehouse.query, str(query))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return _json(400, error_body("local.sql", 'The body must be {"query": "select …"}.'))
        except ValueError as error:
            return _json(400, error_body("local.sql", str(error)))
        return _json(200, {"columns": columns, "rows": rows})

    async def list_faults(request: Request) -> Response:
        return _json(200, [rule.model_dump() | {"used": used} for rule, used in faults.listed()])

    async def add_faults(request: Request) -> Response:
        try:
            body = orjson.loads(await request.body())
            rules = _RULES.validate_python(body if isinstance(body, list) else [body])
        except (orjson.JSONDecodeError, ValidationError) as error:
            return _json(400, error_body("local.faults", str(error)))
        faults.add(rules)
        return await list_faults(request)

    async def clear_faults(request: Request) -> Response:
        faults.clear()
        return Response(status_code=204)

    handlers: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("GET", "/local/health", health),
        ("POST", "/local/sql", sql),
        ("GET", "/local/faults", list_faults),
        ("POST", "/local/faults", add_faults),
        ("DELETE", "/local/faults", clear_faults),
    ]
    return [Route(path, handler, methods=[method]) for method, path, handler in handlers]


def _json(status: int, body: Any) -> Response:
    return Response(orjson.dumps(body, default=str), status, media_type="application/json")
