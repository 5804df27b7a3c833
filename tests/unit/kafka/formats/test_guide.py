"""docs/kafka.md says what the program does: its tables are the plan and the list themselves."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from guides import DOCS, blocks, commands
from typer.testing import CliRunner

from app.cli import app
from app.cli.files import read_receivers
from app.kafka.acls import acls
from app.kafka.formats import markdown
from app.kafka.plan import Process, receiver_topic, system_topics
from app.settings import Settings

GUIDE = DOCS / "kafka.md"
COUNTS = {"rows_partitions": 12, "command_partitions": 4, "dead_letter_partitions": 4}
"""The defaults, whatever the tests are given."""
SETTINGS = Settings(_env_file=None, **COUNTS)  # type: ignore[arg-type,call-arg]  # pydantic-settings' own argument


def test_topics_of_the_guide_are_the_plan() -> None:
    specs = [*system_topics(SETTINGS), receiver_topic(SETTINGS, "streams.events.<project>.<receiver>")]

    assert markdown.topics(specs) in GUIDE.read_text()


def test_acls_of_the_guide_are_the_list() -> None:
    managed = SETTINGS.model_copy(update={"topics": "managed"})

    assert markdown.acls({process.value: acls(managed, process) for process in Process}) in GUIDE.read_text()


COMMANDS = [command for command in commands("kafka.md", "streams topics") if " check" not in command]
"""Those that ask nobody."""


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_guide_print_something(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(app, shlex.split(command, comments=True)[1:])

    assert (result.exit_code, result.exception) == (0, None)
    assert result.stdout.count("\n") > 3


@pytest.mark.parametrize("text", blocks("kafka.md", "yaml"))
def test_receivers_of_the_guide_can_be_applied(text: str, tmp_path: Path) -> None:
    (tmp_path / "receiver.yaml").write_text(text)

    (receiver,), warnings = read_receivers(str(tmp_path / "receiver.yaml"))

    assert receiver.source
    assert warnings == []


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_the_guide_are_the_defaults(name: str) -> None:
    assert Settings.model_fields[name].default == COUNTS[name]
