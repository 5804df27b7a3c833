"""docs/asyncapi.yaml is what the program says of its topics and records, and refers to nothing that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from app.cli import app
from app.kafka import codec
from app.kafka.formats import asyncapi
from app.kafka.plan import receiver_topic, system_topics
from app.settings import Settings

COMMITTED = Path(__file__).parents[4] / "docs" / "asyncapi.yaml"
COUNTS = {"rows_partitions": 12, "command_partitions": 4, "dead_letter_partitions": 4}
"""The defaults, whatever the tests are given."""
SETTINGS = Settings(_env_file=None, **COUNTS)  # type: ignore[arg-type,call-arg]  # pydantic-settings' own argument
DOCUMENT: dict[str, Any] = yaml.safe_load(COMMITTED.read_text())


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


REFERENCES = sorted(set(references(DOCUMENT)))


def test_committed_document_is_what_the_code_renders() -> None:
    assert COMMITTED.read_text() == asyncapi.document(SETTINGS), (
        "run `streams topics export --format asyncapi > docs/asyncapi.yaml`"
    )


@pytest.mark.parametrize("reference", [text for text in REFERENCES if text.startswith("#/")])
def test_reference_within_the_document_leads_somewhere(reference: str) -> None:
    assert reduce(lambda found, name: found[name], reference.removeprefix("#/").split("/"), DOCUMENT)


def test_schemas_that_are_referred_to_are_those_in_use() -> None:
    referred = {(COMMITTED.parent / text).resolve() for text in REFERENCES if not text.startswith("#/")}

    assert referred == set(codec.SCHEMAS.glob("*.avsc"))


def test_each_kind_of_record_has_what_its_values_begin_with() -> None:
    codecs = [value for value in vars(codec).values() if isinstance(value, codec.Codec)]

    said = {name: message.get("x-header") for name, message in DOCUMENT["components"]["messages"].items()}

    assert said == {"event": None, "tombstone": None, **{one.name: one.header.hex() for one in codecs}}


def test_topics_are_those_of_the_plan() -> None:
    specs = [receiver_topic(SETTINGS, "streams.events.{project}.{receiver}"), *system_topics(SETTINGS)]

    said = [
        (channel["address"], channel["bindings"]["kafka"]["partitions"], channel["bindings"]["kafka"]["replicas"])
        for channel in DOCUMENT["channels"].values()
    ]

    assert said == [(spec.name, spec.partitions, spec.replication_factor) for spec in specs]


def test_each_channel_is_sent_to_and_received_from() -> None:
    said = {(one["action"], one["channel"]["$ref"]) for one in DOCUMENT["operations"].values()}

    assert said == {(action, f"#/channels/{name}") for action in ("send", "receive") for name in DOCUMENT["channels"]}


def test_document_of_another_prefix_has_the_same_channels() -> None:
    settings = SETTINGS.model_copy(update={"topic_prefix": "acme.streams"})

    document = yaml.safe_load(asyncapi.document(settings))

    assert list(document["channels"]) == list(DOCUMENT["channels"])
    assert document["operations"] == DOCUMENT["operations"]


def test_document_of_one_receiver_is_refused() -> None:
    result = CliRunner().invoke(app, ["topics", "export", "--format", "asyncapi", "--receiver", "1/a"])

    assert result.exit_code != 0
    assert "leave --receiver out" in result.output + str(result.exception)
