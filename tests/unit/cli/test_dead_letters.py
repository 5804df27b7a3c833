"""Dead letters in a terminal: what is printed, and what is asked of the API."""

from __future__ import annotations

import doctest
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from app.cli import app, letters, terminal
from app.cli.buffer import BufferApi
from app.cli.letters import letter_view, letters_table, moment
from app.cli.terminal import printable

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\u009b31m[red]\r"


def letter(number: int, **event: Any) -> dict[str, Any]:
    return {
        "id": f"2-{number}",
        "reason": "template.error",
        "message": "no",
        "revision": 1,
        "receivedAt": "2026-01-02T03:04:05.678Z",
        "publishedAt": "2026-01-02T03:04:06.678Z",
        "source": {"topic": "t", "topicId": "id", "partition": 0, "offset": number, "lane": "live"},
        "event": {
            "id": "e",
            "ip": "",
            "headers": [],
            "headersTruncated": False,
            "body": "{}",
            "bodyEncoding": "utf-8",
            "bodySize": 2,
            "bodyTruncated": False,
            **event,
        },
    }


def printed(view: Any) -> str:
    console = Console(width=400, color_system="truecolor", force_terminal=True)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


class Api:
    """Answers with the letters from 1 to `count`, newest first, `page` at most at once."""

    def __init__(self, count: int, page: int) -> None:
        self.count, self.page, self.asked = count, page, list[dict[str, str]]()

    def call(self, method: str, path: str, body: Any = None, query: Any = None) -> dict[str, Any]:
        assert (method, path) == ("GET", "/v1/receivers/clicks/exports/all/dead-letters")
        self.asked.append(query)
        end = int(query.get("after", self.count))
        first = max(0, end - min(self.page, int(query["limit"])))
        after = {"after": str(first)} if first else {}
        return {"deadLetters": [letter(n) for n in range(end, first, -1)], "page": {"limit": 100, **after}}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    api = Api(25, 10)
    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "t")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(BufferApi, "call", lambda self, *args, **query: api.call(*args, **query))
    return api


def test_list_follows_the_pages_up_to_its_limit(api: Api) -> None:
    result = CliRunner().invoke(app, ["dead-letters", "list", "clicks/all", "--limit", "22"])

    assert [query["limit"] for query in api.asked] == ["22", "12", "2"]
    assert "2-25" in result.stdout
    assert "2-4 " in result.stdout
    assert "22 dead letters of clicks/all; there are older ones (--limit)." in result.stdout


def test_list_ends_where_there_are_no_more(api: Api) -> None:
    result = CliRunner().invoke(app, ["dead-letters", "list", "clicks/all", "--limit", "1000"])

    assert "25 dead letters of clicks/all; there are no older ones." in result.stdout


def test_filters_are_the_apis(api: Api) -> None:
    options = ["--reason", "body.invalid", "--since", "2026-01-02T03:04:05Z", "--until", "2026-01-03"]

    CliRunner().invoke(app, ["dead-letters", "list", "clicks/all", *options, "--json"])

    wanted = {"reason": "body.invalid", "since": "2026-01-02T03:04:05Z", "until": "2026-01-03"}
    assert wanted.items() <= api.asked[0].items()


@pytest.mark.parametrize("name", ["clicks", "clicks/", "/all"])
def test_export_without_its_receiver_is_refused(api: Api, name: str) -> None:
    result = CliRunner().invoke(app, ["dead-letters", "list", name])

    assert "RECEIVER/EXPORT" in getattr(result.exception, "message", "")
    assert api.asked == []


@pytest.mark.parametrize("field", ["body", "message", "header"])
def test_nothing_of_a_letter_is_obeyed_by_the_terminal(field: str) -> None:
    one = letter(1, headers=[{"name": EVIL, "value": EVIL, "encoding": "utf-8"}] if field == "header" else [])
    if field == "body":
        one["event"]["body"] = EVIL
    if field == "message":
        one["message"] = EVIL

    text = printed(letter_view(one)) + printed(letters_table([one]))

    assert [part for part in ("\x1b]", "\x1b[2J", "\x07", "\u202e", "\u009b", "\r") if part in text] == []
    assert "[red]" in text


@given(st.text())
def test_printable_text_has_no_character_that_is_obeyed(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text, lines=True).replace("\n", "").replace("\t", "").isprintable()


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-01-02", "5"])
def test_what_is_no_age_is_left_to_the_api(text: str | None) -> None:
    assert moment(text) == text


def test_json_for_scripts_has_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_json({"body": "\x1b[2J\x7f\x9b2J é"})

    said = capsys.readouterr().out
    assert not {"\x1b", "\x7f", "\x9b"} & set(said)
    assert json.loads(said) == {"body": "\x1b[2J\x7f\x9b2J é"}


def test_examples_are_right() -> None:
    assert [doctest.testmod(module).failed for module in (letters, terminal)] == [0, 0]
