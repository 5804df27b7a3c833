"""The `streams` command: what it prints and what it ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.cli import app, main
from app.local.ports import free_port
from app.model.cipher import Cipher
from app.settings import Settings

COMMANDS = ["gateway", "control", "mapper", "sink"]


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def streams(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_bad_setting_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    done = streams("topics", "check", cwd=tmp_path, STREAMS_GATEWAY_PORT="many")

    assert done.returncode == 2
    assert done.stderr.startswith("Bad settings: STREAMS_GATEWAY_PORT: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("how", [("--debug", {}), (None, {"STREAMS_DEBUG": "1"})])
def test_debug_shows_where_an_error_came_from(tmp_path: Path, how: tuple[str | None, dict[str, str]]) -> None:
    option, environment = how
    arguments = ([option] if option else []) + ["topics", "check"]

    done = streams(*arguments, cwd=tmp_path, STREAMS_GATEWAY_PORT="many", **environment)

    assert "Traceback" in done.stderr
    assert "ConfigurationError: Bad settings" in done.stderr


def test_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full() -> None:
        Path("/dev/full").write_text("x")

    monkeypatch.setattr("app.cli.app", full)

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert capsys.readouterr().err == "No space left on device: while writing\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_process_runs_with_the_settings_of_the_environment(
    command: str, runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Settings] = []
    monkeypatch.setattr(f"app.{command}.process.run", given.append)
    monkeypatch.setenv("STREAMS_TOPIC_PREFIX", "mine")

    result = runner.invoke(app, [command])

    assert (result.exit_code, [settings.topic_prefix for settings in given]) == (0, ["mine"])


def test_every_command_says_what_it_is_for() -> None:
    group = typer.main.get_command(app)

    def commands(of: object, path: str) -> list[tuple[str, str | None]]:
        found = []
        for name, command in getattr(of, "commands", {}).items():
            found += [(f"{path} {name}", command.help), *commands(command, f"{path} {name}")]
        return found

    listed = commands(group, "streams")

    assert {name for name, _ in listed} >= {
        *(f"streams {name}" for name in [*COMMANDS, "key", "try", "topics", "local", "tasks", "tokens"]),
        *(f"streams receivers {n}" for n in ("list", "show", "url", "create", "apply", "update", "delete")),
        *(f"streams exports {name}" for name in ("list", "show", "create", "apply", "test", "delete")),
        *(f"streams topics {name}" for name in ("plan", "apply", "check")),
        *(f"streams local {name}" for name in ("up", "down", "status", "sql", "demo")),
    }
    assert [name for name, text in listed if not text] == []


def test_plan_is_printed_without_kafka(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_TOPIC_PREFIX", "mine")
    monkeypatch.setenv("STREAMS_ROWS_PARTITIONS", "7")

    result = runner.invoke(app, ["topics", "plan", "--json"])

    planned = {topic["name"]: topic["partitions"] for topic in json.loads(result.stdout)}
    assert planned["mine.control"] == 1
    assert planned["mine.rows"] == planned["mine.ledger"] == 7


def test_key_can_be_used_at_once(runner: CliRunner) -> None:
    key = runner.invoke(app, ["key"]).stdout.strip()

    assert Cipher([key]).decrypt(Cipher([key]).encrypt("secret")) == "secret"


def test_sql_without_a_stack_says_how_to_start_it(tmp_path: Path) -> None:
    port = free_port()

    done = streams("local", "sql", "select 1", cwd=tmp_path, STREAMS_STORAGE_PORT=str(port))

    assert done.returncode == 2
    assert done.stderr == (
        f"The local Storage does not answer at http://127.0.0.1:{port}/local/sql: start it by `streams local up`.\n"
    )


def test_status_and_down_without_a_stack_say_so(tmp_path: Path) -> None:
    status, down = streams("local", "status", cwd=tmp_path), streams("local", "down", cwd=tmp_path)

    assert (status.returncode, status.stdout) == (1, "The local stack does not run: `streams local up` starts it.\n")
    assert (down.returncode, down.stdout) == (0, "The local stack does not run.\n")
