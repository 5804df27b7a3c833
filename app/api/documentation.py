"""The documentation: a page to browse the API, and its OpenAPI document as JSON and YAML.

The page is Swagger UI from the package fastapi-swagger; nothing is fetched from another host. The document is made
when it is first asked for, in a thread, and kept as text.
"""

from __future__ import annotations

import asyncio
import functools
import json

import yaml
from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from app.api.openapi import openapi_document
from app.settings import Settings

_PATH = "/v1/documentation"
_NAMES = ("openapi3", "openapi")
"""Swagger 2.0 is the reference's openapi.json; ours is the same OpenAPI 3.1 document under both names."""


def install_documentation(api: FastAPI, settings: Settings) -> None:
    """Serve the page, its assets and the document of all routes that the API has by the time of the first request."""
    router = APIRouter(include_in_schema=False)
    document = functools.cache(lambda: openapi_document(api, settings))
    as_json = functools.cache(lambda: json.dumps(document(), ensure_ascii=False).encode())
    as_yaml = functools.cache(
        lambda: yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True).encode()
    )

    async def serve_json() -> Response:
        return Response(await asyncio.to_thread(as_json), media_type="application/json")

    async def serve_yaml() -> Response:
        return Response(await asyncio.to_thread(as_yaml), media_type="application/yaml")

    for name in _NAMES:
        router.add_api_route(f"{_PATH}/{name}.json", serve_json)
        router.add_api_route(f"{_PATH}/{name}.yaml", serve_yaml)
    for path in (_PATH, f"{_PATH}/"):
        router.add_api_route(path, _page)
    api.include_router(router)
    api.mount(_PATH, StaticFiles(packages=[("fastapi_swagger", "resources")]))


async def _page(request: Request) -> HTMLResponse:
    """Links are relative, so that a proxy may serve all of it under a path of its own."""
    here = "" if request.url.path.endswith("/") else "documentation/"
    return get_swagger_ui_html(
        openapi_url=f"{here}openapi3.json",
        title=request.app.title,
        swagger_js_url=f"{here}swagger-ui-bundle.js",
        swagger_css_url=f"{here}swagger-ui.css",
        swagger_favicon_url=f"{here}favicon-32x32.png",
        # The first would send the document to another host; with the second a shared link leads to its operation.
        swagger_ui_parameters={"validatorUrl": None, "deepLinking": True, "displayRequestDuration": True},
    )


class _Plain(yaml.SafeDumper):
    """Without anchors: equal parts are written out."""

    def ignore_aliases(self, data: object) -> bool:
        return True
