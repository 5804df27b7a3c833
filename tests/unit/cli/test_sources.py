"""A receiver that reads a topic of others, on the command line."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import app
from app.cli.buffer import BufferApi
from app.cli.display import receiver_view

BOUND = {"id": "orders", "name": "Orders", "description": "", "source": {"topic": "shop.orders"}, "exports": []}


def test_its_topic_is_shown() -> None:
    console = Console(width=200)

    with console.capture() as capture:
        console.print(receiver_view(BOUND))

    assert "topic shop.orders" in capture.get()


@pytest.mark.parametrize("what", ["url", "secret"])
def test_nothing_is_there_to_send_with(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def call(_: BufferApi, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", "/v1/receivers/orders")
        return BOUND

    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "token")
    monkeypatch.setattr(BufferApi, "call", call)

    result = CliRunner().invoke(app, ["receivers", what, "orders"])

    assert result.exit_code == 1
    assert "it reads the topic shop.orders" in str(result.exception)
