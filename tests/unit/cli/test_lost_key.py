"""Receivers whose secret no key decrypts: what the command line shows of them, and what it can do about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.buffer import BufferApi

PROBLEM = "A secret in the control log was encrypted with a key that STREAMS_ENCRYPTION_KEY does not list."
LOST = {"id": "clicks", "name": "Clicks", "description": "", "problem": PROBLEM, "exports": []}
WELL = {"id": "pages", "name": "Pages", "description": "", "url": "http://here/pages", "exports": []}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the API is asked; it has these two receivers."""
    made: list[tuple[str, str]] = []

    def call(_: BufferApi, method: str, path: str, *_rest: object, **_more: object) -> dict[str, Any]:
        made.append((method, path))
        return {"receivers": [LOST, WELL]} if path == "/v1/receivers" else LOST

    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "token")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(BufferApi, "call", call)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_list_has_all_receivers_and_says_what_is_wrong_with_one(calls: list[tuple[str, str]]) -> None:
    result = run("receivers", "list")

    assert result.exit_code == 0
    assert "pages" in result.stdout
    assert "STREAMS_ENCRYPTION_KEY" in result.stdout


def test_such_a_receiver_is_shown_without_a_url(calls: list[tuple[str, str]]) -> None:
    result = run("receivers", "show", "clicks")

    assert result.exit_code == 0
    assert "STREAMS_ENCRYPTION_KEY" in result.stdout


def test_its_url_is_not_known_and_the_reason_is_one_line(calls: list[tuple[str, str]]) -> None:
    result = run("receivers", "url", "clicks")

    assert result.exit_code == 1
    assert str(result.exception) == f'The URL of receiver "clicks" is not known: {PROBLEM}'


def test_it_is_deleted_like_others(calls: list[tuple[str, str]]) -> None:
    result = run("receivers", "delete", "clicks", "--yes")

    assert result.exit_code == 0
    assert ("DELETE", "/v1/receivers/clicks") in calls


def test_it_is_not_changed_by_apply_which_says_what_to_do(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    file = tmp_path / "clicks.yaml"
    file.write_text("name: Clicks\nexports: []\n")

    result = run("receivers", "apply", "-f", str(file), "--yes")

    assert result.exit_code == 1
    assert "`streams receivers delete clicks` and apply again" in str(result.exception)
    assert calls == [("GET", "/v1/receivers/clicks")]
