"""The fenced way into the control log: what comes before a decision, and where it ends (delivery protocol, rule 23)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from app.control import log
from app.control.log import TRANSACTION_SECONDS, Closed, ControlLog, Echo, Interrupted
from app.kafka.transaction import Fenced, Record
from app.kafka.view import ControlView
from app.settings import Settings


class View:
    """Stands in for a view to which nothing of what is written comes."""

    def listen(self, _listener: Any) -> None: ...

    async def caught_up(self) -> None: ...


written = threading.Event()


class Writer:
    """Stands in for a transactional writer; a write sets `written`."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def start(self) -> None: ...

    def write(self, records: Sequence[Record]) -> int:
        written.set()
        return len(records)

    def close(self) -> None: ...


async def test_write_that_the_view_does_not_have_when_the_log_closes_is_not_told_as_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log, "TransactionalWriter", Writer)
    view = cast(ControlView, View())
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    made = ControlLog(settings, 0, view, Echo(view), lambda: asyncio.sleep(0, True))
    await made.open()
    writing = asyncio.create_task(made.transact(lambda: [Record(made.names.control, "task:1/t", None, 0)]))
    await asyncio.to_thread(written.wait)
    made.stop()

    with pytest.raises(Closed):
        await writing


class Scene:
    """A view and a writer that tell, in order, what is asked of them."""

    def __init__(self, *trouble: Exception) -> None:
        """`trouble` comes of the writes, one after the other."""
        self.said: list[str] = []
        self.trouble = list(trouble)
        self.settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
        self.log = ControlLog(self.settings, 3, cast(ControlView, self), Echo(cast(ControlView, self)), self._is_ours)

    def make_writer(self, _settings: Settings, transactional_id: str, *, timeout_seconds: float) -> Scene:
        self.said.append(f"{transactional_id} {timeout_seconds:g} s")
        return self

    # The view

    def listen(self, listener: Any) -> None:
        self.show = listener

    async def caught_up(self) -> None:
        self.said.append("barrier")

    # The group

    async def _is_ours(self) -> bool:
        self.said.append("group asked")
        return self.said.count("group asked") > 1

    # The writer

    def start(self) -> None:
        self.said.append("fence")

    def write(self, records: Sequence[Record]) -> int:
        self.said.append("write")
        if self.trouble:
            raise self.trouble.pop(0)
        return len(records)

    def close(self) -> None: ...


RECORD = Record("test.control", "task:1/t", None, 0)


async def test_nothing_is_decided_before_the_fence_and_the_barrier_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a former owner wrote is in the view then, and it can write no more. Transactions end in 10 s."""
    scene = Scene()
    monkeypatch.setattr(log, "TransactionalWriter", scene.make_writer)

    await scene.log.open()

    assert TRANSACTION_SECONDS == 10
    assert scene.said == [f"{scene.log.names.transactional_id('control', 3)} 10 s", "fence", "barrier"]


async def test_write_is_over_when_the_view_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next decision is made on the view."""
    scene = Scene()
    monkeypatch.setattr(log, "TransactionalWriter", scene.make_writer)
    await scene.log.open()
    waits = asyncio.Event()
    wait_for = scene.log._wait_for

    async def wait(seen: asyncio.Future[None]) -> None:
        waits.set()
        await wait_for(seen)

    monkeypatch.setattr(scene.log, "_wait_for", wait)
    writing = asyncio.create_task(scene.log.transact(lambda: [RECORD]))
    waiting = asyncio.create_task(waits.wait())
    await asyncio.wait([writing, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=60)
    waiting.cancel()
    over_before = writing.done()
    scene.show(RECORD.key, None)
    async with asyncio.timeout(60):
        await writing

    assert not over_before


async def test_fenced_owner_goes_on_when_the_group_counts_it_in_and_decides_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A late start of a former owner fences the rightful one (rule 11)."""
    scene = Scene(Fenced("taken"))
    monkeypatch.setattr(log, "TransactionalWriter", scene.make_writer)
    monkeypatch.setattr(log, "_AGAIN_SECONDS", 0)
    await scene.log.open()
    scene.said.clear()

    with pytest.raises(Interrupted):
        await scene.log.transact(lambda: [RECORD])

    new = f"{scene.log.names.transactional_id('control', 3)} 10 s"
    assert scene.said == ["write", "group asked", "group asked", new, "fence", "barrier"]
