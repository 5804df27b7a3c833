"""A receiver whose topic the operators make waits for it, says so, and goes on when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from app.api.drafts import ReceiverDraft, dump_draft
from app.control import operators
from app.control.log import Closed
from app.control.operators import until_topic_is_there
from app.control.patience import StepFailed
from app.control.run import Run, Surroundings, now_ms
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.topic_spec import Difference, Severity
from app.kafka.transaction import Record
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

MISSING = Difference("s.events.1.a", Severity.MISSING, "missing (wanted: 4 partitions)")
COMPACTED = Difference("s.events.1.a", Severity.BREAKS, "cleanup.policy is compact, the plan has delete")
FEWER = Difference("s.events.1.a", Severity.DIFFERS, "has 1 partitions, the plan has 4 at least")
Look = list[Difference] | Exception


class Log:
    """A control log that applies what is written, until it is not ours any more."""

    def __init__(self, task: Task) -> None:
        self.catalog, self.names = Catalog(), Names("s")
        self.catalog.put_task(task)
        self.said: list[str | None] = []
        self.ours = True

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        for record in decide():
            task = control_codec.decode(record.value or b"")
            assert isinstance(task, Task)
            self.catalog.put_task(task)
            self.said.append(task.result)

    async def check_ours(self) -> None:
        if not self.ours:
            raise Closed


def run_of(created_ms: int | None = None, topics: str = "managed") -> tuple[Run, Log]:
    made_ms = now_ms() if created_ms is None else created_ms
    task = Task("1", "a/receiver.create/t", TaskType.RECEIVER_CREATE, TaskStatus.PROCESSING, made_ms, "a")
    log = Log(task)
    settings = Settings(_env_file=None, topic_prefix="s", topics=topics)  # type: ignore[call-arg,arg-type]
    surroundings = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    return Run(surroundings, cast(Any, log), Command(task, dump_draft(ReceiverDraft("a", "a", "")), b"")), log


def kafka_shows(monkeypatch: pytest.MonkeyPatch, *looks: Look) -> list[Look]:
    """One look after the other; those that are left are given back."""
    left = list(looks)

    def check_topics(*_: object) -> list[Difference]:
        look = left.pop(0)
        if isinstance(look, Exception):
            raise look
        return look

    monkeypatch.setattr(operators, "check_topics", check_topics)
    monkeypatch.setattr(operators, "LOOK_SECONDS", 0)
    return left


async def test_waiting_is_said_once_and_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    left = kafka_shows(monkeypatch, [MISSING], [MISSING], [COMPACTED], [FEWER])
    run, log = run_of()

    await until_topic_is_there(run)

    assert left == []
    missing, compacted, over = log.said
    assert missing == (
        "Topics are the operators' here (STREAMS_TOPICS=managed), and topic s.events.1.a missing (wanted: 4 "
        "partitions). `streams topics export --format kafka-topics --receiver 1/a` prints what to create."
    )
    assert compacted is not None
    assert "cleanup.policy is compact, the plan has delete" in compacted
    assert over is None


async def test_kafka_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_shows(monkeypatch, KafkaUnavailable("away"), [])
    run, log = run_of()

    await until_topic_is_there(run)

    assert log.said == ["away", None]


async def test_task_fails_with_what_is_missing_when_its_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_shows(monkeypatch, [MISSING])
    run, _ = run_of(created_ms=0)

    with pytest.raises(StepFailed, match=r"topic s\.events\.1\.a missing"):
        await until_topic_is_there(run)


async def test_time_for_the_rest_counts_from_the_end_of_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_shows(monkeypatch, [MISSING], [])
    run, _ = run_of()
    run.make_until = 0.0

    await until_topic_is_there(run)

    assert run.make_until > 0


async def test_another_process_may_take_over_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_shows(monkeypatch, [MISSING], [MISSING])
    run, log = run_of()
    log.ours = False

    with pytest.raises(Closed):
        await until_topic_is_there(run)


async def test_nothing_is_asked_where_we_make_topics_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka_shows(monkeypatch)
    run, log = run_of(topics="auto")

    async with asyncio.timeout(60):
        await until_topic_is_there(run)

    assert log.said == []
