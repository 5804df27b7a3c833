"""`streams local sql` against the local Storage."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.local.storage import Emulator
from app.model.errors import BadRequest


@pytest.fixture
def runner(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMS_STORAGE_PORT", str(urlsplit(emulator.url).port))
    return CliRunner()


def test_rows_are_a_table_for_people(runner: CliRunner) -> None:
    result = runner.invoke(app, ["local", "sql", "select 42 as answer, '[b]old' as word, null as nothing"])

    assert result.exit_code == 0
    assert all(text in result.stdout for text in ("answer", "42", "[b]old", "nothing"))


def test_people_see_the_first_rows_of_many(runner: CliRunner) -> None:
    result = runner.invoke(app, ["local", "sql", "select unnest(range(1000, 1250)) as number", "--limit", "50"])

    assert result.exit_code == 0
    assert "1049" in result.stdout
    assert "1050" not in result.stdout
    assert "The first 50 of 250 rows; --limit shows more, --json all." in result.stdout


def test_json_is_a_list_of_objects(runner: CliRunner) -> None:
    result = runner.invoke(app, ["local", "sql", "--json", "select 42 as answer, 'é' as word, null as nothing"])

    assert json.loads(result.stdout) == [{"answer": 42, "word": "é", "nothing": None}]


def test_bad_query_says_what_is_wrong_with_it(runner: CliRunner) -> None:
    result = runner.invoke(app, ["local", "sql", "select * from nowhere"])

    assert isinstance(result.exception, BadRequest)
    assert "nowhere" in result.exception.message
