"""`streams topics` against a real Kafka."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from guides import commands
from typer.testing import CliRunner

from app.cli import app
from app.kafka.client import connect_admin
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.plan import Process, ensure_topics, topics_of
from app.kafka.producer import AsyncProducer
from app.kafka.view import control_key
from app.model.errors import ConfigurationError
from app.model.receiver import Receiver
from app.settings import load_settings

COMPARING = commands("kafka.md", "streams topics check")


@pytest.fixture
def runner(kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("STREAMS_TOPIC_PREFIX", topic_prefix)
    return CliRunner()


def test_apply_creates_the_plan_once_and_check_agrees(runner: CliRunner) -> None:
    before = runner.invoke(app, ["topics", "check"])
    first = runner.invoke(app, ["topics", "apply"])
    second = runner.invoke(app, ["topics", "apply"])
    after = runner.invoke(app, ["topics", "check"])

    assert (before.exit_code, before.stdout.count("missing")) == (1, 5)
    assert first.stdout.splitlines()[-1] == "5 created, 0 were there"
    assert second.stdout.splitlines()[-1] == "0 created, 5 were there"
    assert (after.exit_code, after.stdout) == (0, "All 5 topics are as planned.\n")


def test_commands_of_the_guide_that_compare_find_what_apply_has_made(runner: CliRunner) -> None:
    applied = runner.invoke(app, ["topics", "apply"])
    assert applied.exit_code == 0, applied.exception

    answers = [runner.invoke(app, shlex.split(command, comments=True)[1:]) for command in COMPARING]

    assert [(answer.exit_code, answer.stdout) for answer in answers] == [
        (0, "All 5 topics are as planned.\n"),
        (0, "[]\n"),
    ]


def test_check_names_a_topic_that_differs(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, topic_prefix: str
) -> None:
    monkeypatch.setenv("STREAMS_COMMAND_PARTITIONS", "4")
    applied = runner.invoke(app, ["topics", "apply"])
    assert applied.exit_code == 0, applied.exception
    monkeypatch.setenv("STREAMS_COMMAND_PARTITIONS", "7")

    result = runner.invoke(app, ["topics", "check"])

    assert result.exit_code == 1
    assert result.stdout == f"{topic_prefix}.commands: has 4 partitions, the plan has 7\n"


def test_topic_of_a_receiver_can_be_made_before_it(runner: CliRunner, topic_prefix: str) -> None:
    planned = runner.invoke(app, ["topics", "check", "--receiver", "1234/clicks"])
    applied = runner.invoke(app, ["topics", "apply", "--receiver", "1234/clicks"])
    after = runner.invoke(app, ["topics", "check", "--receiver", "1234/clicks"])

    assert planned.stdout.startswith(f"{topic_prefix}.events.1234.clicks: missing (wanted: 4 partitions, ")
    assert applied.stdout.splitlines()[0] == f"created {topic_prefix}.events.1234.clicks"
    assert after.stdout == "The topic is as planned.\n"


async def test_check_looks_at_the_topics_of_receivers_too(runner: CliRunner, topic_prefix: str) -> None:
    """Not at topics that a receiver was bound to: they are somebody else's."""
    applied = await asyncio.to_thread(runner.invoke, app, ["topics", "apply"])
    assert applied.exit_code == 0, applied.exception
    names = Names(topic_prefix)
    made = Receiver("u1", "1234", "clicks", "", "", b"", names.events("1234", "clicks"), "id", 4, 0)
    bound = Receiver("u2", "1234", "orders", "", "", b"", f"{topic_prefix}-orders", "id", 4, 0)
    async with AsyncProducer(load_settings(None)) as producer:
        for receiver in (made, bound):
            key = control_key("receiver", f"1234/{receiver.receiver_id}")
            await producer.send(names.control, control_codec.encode(receiver), key, partition=0)

    result = await asyncio.to_thread(runner.invoke, app, ["topics", "check", "--json"])

    found = json.loads(result.stdout)
    assert [(one["topic"], one["severity"]) for one in found] == [(made.topic, "missing")]


def test_managed_topics_are_never_created(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, kafka: str, topic_prefix: str
) -> None:
    monkeypatch.setenv("STREAMS_TOPICS", "managed")

    result = runner.invoke(app, ["topics", "apply"])

    assert isinstance(result.exception, ConfigurationError)
    topics = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=30).topics
    assert [name for name in topics if name.startswith(topic_prefix)] == []


def test_process_is_told_all_that_the_operators_have_not_made(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, topic_prefix: str
) -> None:
    monkeypatch.setenv("STREAMS_TOPICS", "managed")
    settings = load_settings(None)

    with pytest.raises(ConfigurationError) as raised:
        ensure_topics(connect_admin(settings), settings, topics_of(settings, Process.SINK))

    names = ["commands", "control", "rows", "ledger", "dead-letters"]
    assert [n for n in names if f"{topic_prefix}.{n} missing (wanted: " not in str(raised.value)] == []


def test_process_goes_on_with_topics_that_only_weaken_a_promise(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, topic_prefix: str
) -> None:
    applied = runner.invoke(app, ["topics", "apply"])
    assert applied.exit_code == 0, applied.exception
    monkeypatch.setenv("STREAMS_TOPICS", "managed")
    monkeypatch.setenv("STREAMS_RETENTION_HOURS", "1000")
    settings = load_settings(None)

    ensure_topics(connect_admin(settings), settings, topics_of(settings, Process.MAPPER))

    assert f"topic {topic_prefix}.rows retention.ms is 691200000, the plan has 3686400000 at least" in caplog.text
