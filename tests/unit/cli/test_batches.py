"""Batches in a terminal: what is printed, and what is asked of the API."""

from __future__ import annotations

from typing import Any

import pytest
from batches import batch
from letters import some_export
from rich.console import Console
from typer.testing import CliRunner

from app.api.batch_answers import show_batch
from app.cli import app
from app.cli.batch_views import batch_view, batches_table
from app.cli.buffer import BufferApi

EVIL = "\x1b]0;owned\x07\u202e[red]"
SHOWN = show_batch(batch(some_export("e"), "b1")).model_dump(by_alias=True, exclude_none=True)


class Api:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []

    def call(self, method: str, path: str, query: Any = None) -> dict[str, Any]:
        self.asked.append((method, path, query))
        if path.endswith("/retry"):
            return {"id": "t", "status": "success", "result": "batch is tried again", "isFinished": True}
        return SHOWN if path.endswith("/b1") else {"batches": [SHOWN], "hasMore": False}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    fake = Api()
    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "token")
    monkeypatch.setattr(BufferApi, "call", lambda self, *given, **named: fake.call(*given, **named))
    return fake


def test_list_asks_for_the_phase_and_says_whether_there_are_more(api: Api) -> None:
    result = CliRunner().invoke(app, ["batches", "list", "clicks/all", "--phase", "failed"])

    assert api.asked == [
        ("GET", "/v1/receivers/clicks/exports/all/batches", {"limit": "20", "phase": "failed"}),
    ]
    assert "1 batch of clicks/all; there are no older ones." in result.stdout


def test_batch_is_shown_with_its_attempts(api: Api) -> None:
    result = CliRunner().invoke(app, ["batches", "show", "clicks/all", "b1"])

    assert [
        part for part in ("7 rows", "55", "the table was changed", "offsets 5 to 11") if part not in result.stdout
    ] == []


def test_retry_waits_for_its_task(api: Api) -> None:
    result = CliRunner().invoke(app, ["batches", "retry", "clicks/all", "b1"])

    assert api.asked[-1] == ("POST", "/v1/receivers/clicks/exports/all/batches/b1/retry", None)
    assert "batch is tried again" in result.stdout


def test_unclear_batch_is_not_tried_again_without_asking(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHOWN, "phase", "unclear")

    refused = CliRunner().invoke(app, ["batches", "retry", "clicks/all", "b1"])
    asked = list(api.asked)
    done = CliRunner().invoke(app, ["batches", "retry", "clicks/all", "b1", "--yes"])

    assert "add --yes" in getattr(refused.exception, "message", "")
    assert [method for method, _, _ in asked] == ["GET"]
    assert "batch is tried again" in done.stdout


def test_nothing_of_a_batch_is_obeyed_by_the_terminal() -> None:
    console = Console(width=400, color_system="truecolor", force_terminal=True)
    evil = {**SHOWN, "error": EVIL, "attempts": [{**SHOWN["attempts"][0], "refusal": EVIL}]}

    with console.capture() as capture:
        console.print(batches_table([evil]), batch_view(evil))

    text = capture.get()
    assert [part for part in ("\x1b]", "\x07", "\u202e") if part in text] == []
    assert "[red]" in text


def test_ids_are_whole_on_a_narrow_terminal() -> None:
    long = {**SHOWN, "id": "000000000001085-0000000"}
    console = Console(width=80)

    with console.capture() as capture:
        console.print(batches_table([long]))

    assert "000000000001085-0000000" in capture.get()
