"""Barriers for unknown receivers are shared and limited in rate; a view that lost touch is stale."""

from __future__ import annotations

import asyncio

import pytest

from app.gateway.freshness import Freshness, Lookups
from app.kafka.view import ControlView
from app.model.errors import KafkaUnavailable
from app.settings import Settings

SETTINGS = Settings(_env_file=None, unknown_receiver_barrier_seconds=3600)  # type: ignore[call-arg]


class ScriptedView:
    """A view whose barrier ends when `release` is called."""

    def __init__(self) -> None:
        self.met_end_at = float("-inf")
        self.barriers = 0
        self._released: asyncio.Queue[bool] = asyncio.Queue()

    def release(self, met: bool = True) -> None:
        self._released.put_nowait(met)

    async def caught_up(self, timeout_seconds: float) -> None:
        self.barriers += 1
        if not await self._released.get():
            raise KafkaUnavailable("no answer")


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("met", [True, False])
async def test_requests_share_a_barrier_that_began_after_them(met: bool) -> None:
    view = ScriptedView()
    lookups = Lookups(SETTINGS, view)  # type: ignore[arg-type]
    heard: list[tuple[int, bool]] = []
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(lookups.serve())
        lookups.ask(lambda answer: heard.append((1, answer)))
        lookups.ask(lambda answer: heard.append((2, answer)))
        await turns()
        lookups.ask(lambda answer: heard.append((3, answer)))  # after the barrier began

        view.release(met)
        await turns()

        assert heard == [(1, met), (2, met)]
        assert view.barriers == 1, "the next barrier waits its time"
        serving.cancel()


async def test_view_is_trusted_for_a_while_after_it_met_the_end() -> None:
    settings = Settings(_env_file=None, kafka_bootstrap_servers="127.0.0.1:1")  # type: ignore[call-arg]
    view = ControlView(settings)
    freshness = Freshness(settings, view)
    assert freshness.until == float("-inf"), "it has never met the end"

    view.met_end_at = 100

    assert freshness.until == 115
