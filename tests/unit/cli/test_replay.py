"""Replays in a terminal: what is asked of the API, and what is printed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli import app, replaying
from app.cli.buffer import BufferApi

PATH = "/v1/receivers/clicks/exports/all"
TRIED = {
    "tableId": "in.c-web.clicks",
    "ranges": [{"partition": 0, "first": 1000, "end": 3500}],
    "offsets": 2500,
    "deletedBefore": [0],
    "tried": 1000,
    "isWhole": False,
    "rows": 990,
    "failures": 7,
    "skipped": 3,
    "mended": 12,
}
REPLAY = {
    "id": "lane",
    "kind": "replay",
    "state": "mapping",
    "tableId": "in.c-web.clicks",
    "revision": 1,
    "createdAt": "2026-01-02T03:04:05.678Z",
    "topic": "streams.events.1234.clicks",
    "ranges": [],
    "offsets": 2500,
    "mapped": 10,
}
CANCELLING = {key: value for key, value in REPLAY.items() if key != "mapped"} | {
    "state": "cancelling",
    "cancelledAt": "2026-01-02T03:05:05.678Z",
}
FINISHED = REPLAY | {
    "state": "finished",
    "finishedAt": "2026-01-02T03:06:05.678Z",
    "mapped": 2500,
    "rows": 2490,
    "failures": 7,
    "skipped": 3,
}


class Api:
    """A replay that is finished when it is asked for the third time."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any, Any]] = []

    def call(self, method: str, path: str, body: Any = None, query: Any = None) -> dict[str, Any]:
        self.asked.append((method, path, body, query))
        if path.endswith("/replays"):
            return {"replays": [REPLAY]}
        if method == "DELETE":
            return CANCELLING
        if method == "GET":
            return FINISHED if sum(asked[0] == "GET" for asked in self.asked) > 2 else REPLAY
        if query:
            return TRIED
        return {"id": "t", "status": "success", "isFinished": True, "result": "replay lane begun; some are left out"}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    fake = Api()
    monkeypatch.setenv("STREAMS_STORAGE_TOKEN", "token")
    monkeypatch.setattr(BufferApi, "call", lambda self, *given, **named: fake.call(*given, **named))
    monkeypatch.setattr(replaying, "_PAUSE_SECONDS", 0)
    return fake


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


SPAN = ("--from", "2026-01-02T03:04:05Z", "--to", "2026-01-03")
BODY = {"from": "2026-01-02T03:04:05Z", "to": "2026-01-03"}


def test_dry_run_shows_what_it_would_come_to_and_begins_nothing(api: Api) -> None:
    result = run("replay", "--receiver", "clicks", "--export", "all", *SPAN, "--dry-run")

    assert api.asked == [("POST", f"{PATH}/replay", BODY, {"dryRun": "1"})]
    assert [
        text for text in ("2,500", "1,000 events (some", "990", "12 of the rows") if text not in result.stdout
    ] == []


def test_replay_is_followed_to_its_end(api: Api) -> None:
    result = run("replay", "--receiver", "clicks", "--export", "all", *SPAN, "--table", "in.c-web.x", "--yes", "--json")

    assert api.asked[0] == ("POST", f"{PATH}/replay", BODY | {"tableId": "in.c-web.x"}, None)
    assert [asked[1] for asked in api.asked[1:]] == [f"{PATH}/replays/lane"] * 3
    assert json.loads(result.stdout)["rows"] == 2490
    assert "some are left out" in result.stderr


def test_replay_that_is_not_waited_for_is_shown_as_it_begins(api: Api) -> None:
    result = run("replay", "--receiver", "clicks", "--export", "all", *SPAN, "--yes", "--no-wait")

    assert "10 of 2,500 offsets" in result.stdout


def test_nothing_is_replayed_where_nobody_can_be_asked(api: Api) -> None:
    result = run("replay", "--receiver", "clicks", "--export", "all", *SPAN)

    assert "add --yes" in getattr(result.exception, "message", "")
    assert [query for _, _, _, query in api.asked] == [{"dryRun": "1"}]


@pytest.mark.parametrize(("missing", "given"), [("--to", SPAN[:2]), ("--from and --to", ())])
def test_replay_without_its_time_says_what_is_missing(api: Api, missing: str, given: tuple[str, ...]) -> None:
    result = run("replay", "--receiver", "clicks", "--export", "all", *given)

    assert result.exit_code == 2
    assert f"Missing option {missing}" in " ".join(result.stderr.split())
    assert api.asked == []


def test_replay_is_cancelled_once_a_person_has_agreed(api: Api) -> None:
    refused = run("replay", "cancel", "clicks/all", "lane")
    result = run("replay", "cancel", "clicks/all", "lane", "--yes")

    assert "add --yes" in getattr(refused.exception, "message", "")
    assert [asked[:2] for asked in api.asked] == [
        *[("GET", f"{PATH}/replays/lane")] * 2,
        ("DELETE", f"{PATH}/replays/lane"),
    ]
    assert "cancelling" in result.stdout


def test_replays_are_listed_and_shown(api: Api) -> None:
    listed = run("replay", "list", "clicks/all")
    shown = run("replay", "show", "clicks/all", "lane")

    assert ("lane" in listed.stdout, "2,500" in listed.stdout) == (True, True)
    assert "10 of 2,500 offsets" in shown.stdout


def test_requeue_asks_for_its_letters(api: Api) -> None:
    result = run("dead-letters", "requeue", "clicks/all", "--reason", "template.error", "--yes")

    assert api.asked[0] == ("POST", f"{PATH}/dead-letters/requeue", {"reason": "template.error"}, None)
    assert "2,490" in result.stdout
