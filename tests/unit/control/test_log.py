"""The fenced way into the control log, where it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from app.control import log
from app.control.log import Closed, ControlLog, Echo
from app.kafka.transaction import Record
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
