"""`streams local sql` against the local Storage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.local.ports import free_port
from app.local.storage.process import running
from app.model.errors import BadRequest


@pytest.fixture(scope="module")
def storage_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with running(tmp_path_factory.mktemp("storage"), port=port, s3_port=free_port()):
        yield port


@pytest.fixture
def runner(storage_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMS_STORAGE_PORT", str(storage_port))
    return CliRunner()


def test_rows_are_a_table_for_people(runner: CliRunner) -> None:
    result = runner.invoke(app, ["local", "sql", "select 42 as answer, '[b]old' as word, null as nothing"])

    assert result.exit_code == 0
    assert all(text in result.stdout for text in ("answer", "42", "[b]old", "nothing"))


def test_json_is_a_list_of_objects(runner: CliRunner) -> None:
    result = runner.invoke(app, ["local", "sql", "--json", "select 42 as answer, 'é' as word, null as nothing"])

    assert json.loads(result.stdout) == [{"answer": 42, "word": "é", "nothing": None}]


def test_bad_query_says_what_is_wrong_with_it(runner: CliRunner) -> None:
    result = runner.invoke(app, ["local", "sql", "select * from nowhere"])

    assert isinstance(result.exception, BadRequest)
    assert "nowhere" in result.exception.message
