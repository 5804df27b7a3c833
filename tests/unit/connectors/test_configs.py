"""The configurations of `connectors/`, and what `streams connectors render` prints, against what is documented."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from connector_keys import complaints, folder, table
from typer.testing import CliRunner

from app.cli import app
from app.model.connect import Destination, SinkKind, SinkRoute, connector_body, destination, sink_config
from app.model.errors import BadRequest, StreamsError

EXAMPLE = SinkRoute(
    name="clicks-sink",
    topics=("page-views",),
    to=Destination("https://streams.example.com/v1/import/1234/clicks/SECRET"),
    dead_letters="clicks-sink-dead-letters",
    brokers="kafka:9092",
)


@pytest.mark.parametrize("kind", SinkKind)
def test_file_is_what_render_prints(kind: SinkKind) -> None:
    assert json.loads((folder(kind) / "config.json").read_text()) == connector_body(kind, EXAMPLE)


@pytest.mark.parametrize("to", [EXAMPLE.to, replace(EXAMPLE.to, split=False), replace(EXAMPLE.to, token="TOKEN")])
@pytest.mark.parametrize("kind", SinkKind)
def test_configuration_has_documented_keys_of_the_right_types_and_no_pair_that_loses_records(
    kind: SinkKind, to: Destination
) -> None:
    assert complaints(kind, sink_config(kind, replace(EXAMPLE, to=to))) == []


@pytest.mark.parametrize("kind", SinkKind)
def test_token_of_a_receiver_is_sent_as_its_senders_do(kind: SinkKind) -> None:
    config = sink_config(kind, replace(EXAMPLE, to=Destination("https://streams.example.com/v1/import/1/a", "TOKEN")))

    assert [value.endswith("Bearer TOKEN") for value in config.values() if "TOKEN" in value] == [True]


def test_destination_is_what_the_api_shows_of_a_receiver() -> None:
    shown = {"id": "clicks", "url": "http://x/v1/import/1/clicks", "token": "TOKEN", "split": "off"}

    assert destination(shown) == Destination("http://x/v1/import/1/clicks", "TOKEN", split=False)
    assert destination({"id": "clicks", "url": "http://x/"}) == Destination("http://x/")


@pytest.mark.parametrize(
    "why",
    [
        {"problem": "The key was lost"},
        {"url": "http://x/", "signature": {"preset": "github"}},
        {"source": {"topic": "orders"}},
        {"source": {"pattern": "orders-*"}},
    ],
)
def test_receiver_that_no_sink_can_send_to_is_refused(why: dict[str, Any]) -> None:
    with pytest.raises(StreamsError, match=r"The key was lost|signed requests|nothing is sent to it"):
        destination({"id": "clicks", **why})


@pytest.mark.parametrize("kind", SinkKind)
def test_each_forbidden_pair_is_complained_about(kind: SinkKind) -> None:
    config = sink_config(kind, EXAMPLE)

    for pair in table(kind)["impossible"]:
        broken = dict(config)
        for name, value in pair["when"].items():
            broken.pop(name, None)
            if value is not None:
                broken[name] = "x" if value == "*" else value
        assert any(pair["why"] in one for one in complaints(kind, broken)), pair


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch.maxsize", "10"),
        ("tasks.max", "many"),
        ("tasks.max", "0"),
        ("errors.tolerance", "some"),
        ("key.converter", "StringConverter"),
        ("transforms", "missing"),
        ("http.url", "streams.example.com"),
    ],
)
def test_mistake_in_a_configuration_is_complained_about(name: str, value: str) -> None:
    config = sink_config(SinkKind.DATA_STREAMS, EXAMPLE)

    assert [name in one for one in complaints(SinkKind.DATA_STREAMS, config | {name: value})] == [True]


@pytest.mark.parametrize("kind", SinkKind)
def test_records_share_no_request_where_the_receiver_does_not_split(kind: SinkKind) -> None:
    config = sink_config(kind, replace(EXAMPLE, to=replace(EXAMPLE.to, split=False)))

    batches = {name: value for name, value in config.items() if name.endswith(("batch.max.size", "max.batch.size"))}
    assert set(batches.values()) <= {"1"}
    assert "[" not in config.values()


@pytest.mark.parametrize("mark", ["'", "${file:/secrets:url}", " ", "|", "é"])
def test_url_that_would_mean_something_in_a_configuration_is_refused(mark: str) -> None:
    with pytest.raises(BadRequest, match="characters"):
        sink_config(SinkKind.CLESCOT, replace(EXAMPLE, to=Destination(f"https://streams.example.com/{mark}")))


@pytest.mark.parametrize("kind", SinkKind)
def test_command_prints_a_connector_for_a_url(kind: SinkKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--receiver", "clicks", "--kind", kind, "--url", EXAMPLE.to.url, "--topics", "page-views"]

    result = CliRunner().invoke(app, ["connectors", "render", *options, "--brokers", "kafka:9092"])

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == connector_body(kind, EXAMPLE)
