"""What the API says of itself."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from app.api.answers import IndexAnswer
from app.api.context import InContext

router = APIRouter()


@router.get("/", status_code=301)
async def redirect_to_index() -> RedirectResponse:
    """Leads to the index."""
    return RedirectResponse("/v1", 301)


@router.get("/v1")
async def get_index(context: InContext) -> IndexAnswer:
    """The name of the API and where its documentation is."""
    return IndexAnswer(api="buffer", documentation=f"{context.settings.public_address}/v1/documentation")
