"""`streams try`: real children, files, no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import app

COLUMNS = [
    {"name": "body", "type": "body"},
    {"name": "page", "type": "template", "template": {"language": "jsonnet", "content": 'Body("page")'}},
    {"name": "shop", "type": "template", "template": {"language": "jsonnet", "content": 'Header("X-Shop", "-")'}},
]

Streams = Callable[..., Result]


def export(name: str, *columns: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "mapping": {"tableId": "in.c-web.pages", "columns": columns or COLUMNS}}


@pytest.fixture
def streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Runs `streams try ...` in a folder with a receiver and events."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("receiver.yaml").write_text(json.dumps({"name": "Web", "exports": [export("Pages")]}))
    Path("two.yaml").write_text(json.dumps([export("One"), export("Two", {"name": "ip", "type": "ip"})]))
    Path("fits.json").write_text('[{"page": "/a"}, {"page": "/b"}]')
    Path("lines.ndjson").write_text('{"page": "/c"}\n{}\n')

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, ["try", *arguments], input=stdin)

    return run


def test_rows_are_shown_with_their_size(streams: Streams) -> None:
    result = streams("receiver.yaml", "fits.json", "-H", "x-shop: 7")

    assert result.exit_code == 0, result.output
    assert all(text in result.stdout for text in ("export pages", '"/a"', '"/b"', '"7"', "2 events: 2 rows (76 bytes"))


def test_event_that_fails_is_told_by_column_and_ends_with_one(streams: Streams) -> None:
    result = streams("receiver.yaml", "lines.ndjson")

    assert result.exit_code == 1
    assert '"/c"' in result.stdout
    assert 'path "page" not found in the body' in result.stdout
    assert "2 events: 1 rows" in result.stdout


def test_terminal_obeys_nothing_that_events_say(streams: Streams) -> None:
    says = {"language": "jsonnet", "content": "error BodyStr()"}
    Path("evil.json").write_text(
        json.dumps(
            [
                export("Row", {"name": "body", "type": "body"}),
                export("Error", {"name": "x", "type": "template", "template": says}),
            ]
        )
    )

    result = streams("evil.json", "-", stdin="\x1b]0;owned\x07\x1b[2J\u202e")

    assert result.stdout.count("\\x1b]0;owned\\x07\\x1b[2J\\u202e") == 2
    assert not {"\x1b", "\x07", "\u202e"} & set(result.stdout)


def test_csv_is_what_would_be_imported_and_all_else_goes_to_standard_error(streams: Streams) -> None:
    result = streams("receiver.yaml", "-", "--csv", "--content-type", "application/x-ndjson", stdin='{"page":1}\nx\n')

    assert result.exit_code == 1
    assert result.stdout == '"{""page"":1}","1","""-"""\n'
    assert "body.invalid" in result.stderr


def test_json_is_the_apis_answer_for_each_export(streams: Streams) -> None:
    result = streams("two.yaml", "-", "--ip", "10.0.0.1", "--json", stdin='{"page": "/x"}')

    one, two = json.loads(result.stdout)["exports"]
    assert (one["exportId"], one["totals"]["rows"]) == ("one", 1)
    assert two["events"] == [{"index": 0, "columns": [{"name": "ip", "value": "10.0.0.1"}], "csvBytes": 11}]


def test_one_export_may_be_chosen(streams: Streams) -> None:
    result = streams("two.yaml", "fits.json", "--export", "two", "--csv", "--ip", "10.0.0.1")

    assert result.stdout == '"10.0.0.1"\n"10.0.0.1"\n'


def test_template_that_does_not_end_is_stopped(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_MAPPING_EVENT_SECONDS", "0.3")
    endless = {"language": "jsonnet", "content": "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)"}
    Path("endless.json").write_text(json.dumps(export("Loop", {"name": "x", "type": "template", "template": endless})))

    result = streams("endless.json", "-", stdin="{}")

    assert (result.exit_code, "template.timeout" in result.stdout) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("receiver.yaml", "nowhere.json"), "nowhere.json: No such file or directory."),
        (("receiver.yaml", "fits.json", "-H", "shop"), '"shop" is no header: it must be "Name: value".'),
        (("receiver.yaml", "fits.json", "--export", "x"), "receiver.yaml: there is no export x in it."),
        (
            ("two.yaml", "fits.json", "--csv"),
            "two.yaml: there are 2 exports in it; say by --export whose CSV to print.",
        ),
        (("fits.json", "fits.json"), 'fits.json, document 1: "name" is missing from body'),
    ],
    ids=["file", "header", "export", "csv", "mapping"],
)
def test_what_cannot_be_done_is_one_line(streams: Streams, arguments: tuple[str, ...], message: str) -> None:
    result = streams(*arguments)

    assert getattr(result.exception, "message", None) == message
    assert getattr(result.exception, "exit_code", None) == 2
