"""What a dry run answers when events cannot be mapped now, with nothing behind the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api.auth import Caller
from app.api.trials import Crowded
from app.mapping.child_process import ChildGone
from app.mapping.children import PoolClosed
from app.model.catalog import Catalog
from app.settings import Settings

BODY = {"mapping": {"columns": [{"name": "body", "type": "body"}]}, "event": {"body": "x"}}


class ScriptedTrials:
    """Stands where events are mapped: fails when a place is asked for, or when events are to be mapped."""

    def __init__(self, of_place: Exception | None = None, of_mapping: Exception | None = None) -> None:
        self._of_place, self._of_mapping = of_place, of_mapping
        self.held = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        if self._of_place is not None:
            raise self._of_place
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    async def outcomes(self, *_: object) -> list[Any]:
        assert self._of_mapping is not None
        raise self._of_mapping


async def ask(api: FastAPI, trials: ScriptedTrials) -> httpx.Response:
    async def identify(token: str) -> Caller:
        return Caller("1234", token)

    async def caught_up() -> None:
        """It has read all there is."""

    context = api.state.context
    view = SimpleNamespace(catalog=Catalog(), caught_up=caught_up)
    api.state.context = replace(context, trials=trials, view=view, tokens=SimpleNamespace(identify=identify))
    headers = {"X-StorageApi-Token": "token"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test", headers=headers) as client:
        return await client.post("/v1/test", json=BODY)


@pytest.mark.parametrize(
    "trials",
    [
        ScriptedTrials(of_place=Crowded()),
        ScriptedTrials(of_mapping=Crowded()),
        ScriptedTrials(of_mapping=ChildGone()),
        ScriptedTrials(of_mapping=PoolClosed()),
    ],
    ids=["no place", "no child in time", "child gone", "closing"],
)
async def test_who_cannot_be_served_now_is_told_to_come_again(
    api: FastAPI, settings: Settings, trials: ScriptedTrials
) -> None:
    answer = await ask(api, trials)

    assert (answer.status_code, answer.json()["error"]) == (503, "buffer.overloaded")
    assert answer.headers["Retry-After"] == str(settings.retry_after_seconds)
    assert trials.held == 0


async def test_templates_that_take_too_long_together_are_504(api: FastAPI) -> None:
    answer = await ask(api, ScriptedTrials(of_mapping=TimeoutError()))

    assert (answer.status_code, answer.json()["error"]) == (504, "buffer.validationTimeout")
    assert answer.json()["message"] == "The templates did not come to an end within 30 s together."
