"""Suspending and resuming from the command line, and how a suspended export looks there."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from app.cli import app
from app.cli.buffer import BufferApi
from app.cli.display import export_view, exports_table

EXPORT = {
    "id": "all",
    "receiverId": "clicks",
    "name": "All",
    "mapping": {"tableId": "in.c-web.clicks", "incremental": True, "columns": []},
    "conditions": {"count": 1, "size": "1MB", "time": "1m"},
    "suspension": {"state": "suspended", "since": "2026-01-02T03:04:05.678Z", "reason": "it loops\x1b]0;owned\x07"},
}


@pytest.mark.parametrize("what", ["pause", "resume"])
def test_export_is_switched_by_a_task_that_is_waited_for(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def call(_: BufferApi, method: str, path: str) -> dict[str, Any]:
        asked.append((method, path))
        return {"id": "t", "status": "success", "result": "done so", "isFinished": len(asked) > 1}

    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "token")
    monkeypatch.setattr(BufferApi, "call", call)

    result = CliRunner().invoke(app, ["exports", what, "clicks", "all"])

    assert asked == [("POST", f"/v1/receivers/clicks/exports/all/{what}"), ("GET", "/v1/tasks/t")]
    assert "done so" in result.stdout


def test_suspended_export_shows_since_when_and_why() -> None:
    console = Console(width=400)

    with console.capture() as capture:
        console.print(exports_table([EXPORT]), export_view(EXPORT))

    text = capture.get()
    assert "suspended since 2026-01-02T03:04:05.678Z: it loops" in text
    assert "\x1b]" not in text
