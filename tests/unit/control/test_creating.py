"""From where on a new export takes events: known when it is in the log, and every mapper sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from app.api.drafts import ExportDraft, ReceiverDraft, SourceDraft, dump_draft
from app.control import creating, topics
from app.control.creating import create_export, create_receiver
from app.control.records import SealedToken, TopicFacts
from app.control.run import Run, Surroundings
from app.control.steps import Progress, dump_progress
from app.kafka.codec import ControlValue, control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.catalog import Catalog
from app.model.cipher import Cipher
from app.model.conditions import Conditions
from app.model.errors import Conflict, KafkaUnavailable
from app.model.receiver import Draining, Export, Mapping, Receiver, Revision, SourceOffset
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id", 3, 0)
OTHER = Export("o", "r", "1", "a", "o", "o", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
NEW = replace(OTHER, uid="e", export_id="e")
MADE = dump_progress(Progress(made=True))


class Log:
    """A control log that keeps what is written."""

    def __init__(self, task: Task) -> None:
        self.catalog, self.names, self.written = Catalog(), Names("test"), list[ControlValue]()
        self.catalog.put_receiver(RECEIVER)
        self.catalog.put_export(OTHER)
        self.catalog.put_export(NEW)
        self.catalog.put_task(task)

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        self.written += [control_codec.decode(record.value) for record in decide() if record.value is not None]


def run_of(kind: TaskType, export_id: str | None = None) -> tuple[Run, Log]:
    """A task whose entities are in the log already."""
    task = Task("1", "t", kind, TaskStatus.PROCESSING, 0, "a", export_id, progress=MADE)
    log, settings = Log(task), Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    surroundings = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    draft = ExportDraft("e", "e", Mapping("t", ()), Conditions()) if export_id else ReceiverDraft("a", "a", "")
    return Run(surroundings, cast(Any, log), Command(task, dump_draft(draft), b"")), log


def topic_ends_at(monkeypatch: pytest.MonkeyPatch, *answers: Sequence[int] | KafkaUnavailable | None) -> None:
    """What Kafka says one time after the other: the end of each partition, or (None) that the topic is gone."""
    left = list(answers)

    async def ends_or_gone(*_: Any) -> tuple[SourceOffset, ...] | None:
        answer = left.pop(0)
        if isinstance(answer, KafkaUnavailable):
            raise answer
        return None if answer is None else TopicFacts("topic", "id", tuple(answer)).starts

    monkeypatch.setattr(topics, "ends_or_gone", ends_or_gone)
    monkeypatch.setattr(creating, "_LOOK_AGAIN_SECONDS", 0)


async def test_export_begins_where_its_topic_ends_once_it_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_ends_at(monkeypatch, (3, 0, 7))
    run, log = run_of(TaskType.EXPORT_CREATE, "e")

    await create_export(run)

    export, task = log.written
    assert export == replace(NEW, starts=(SourceOffset("id", 0, 3), SourceOffset("id", 2, 7)))
    assert isinstance(task, Task)
    assert (task.status, task.result) == (TaskStatus.SUCCESS, "export created")


async def test_all_exports_of_a_new_receiver_begin_there(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_ends_at(monkeypatch, (3, 0, 0))
    run, log = run_of(TaskType.RECEIVER_CREATE)

    await create_receiver(run)

    exports = [value for value in log.written if isinstance(value, Export)]
    assert [(export.uid, export.starts) for export in exports] == [
        ("e", (SourceOffset("id", 0, 3),)),
        ("o", (SourceOffset("id", 0, 3),)),
    ]


async def test_what_is_made_waits_for_kafka_and_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_ends_at(monkeypatch, KafkaUnavailable("away"), KafkaUnavailable("away"), (1, 1, 1))
    run, log = run_of(TaskType.EXPORT_CREATE, "e")

    await create_export(run)

    assert [type(value) for value in log.written] == [Export, Task]


async def test_topic_that_is_gone_leaves_the_export_where_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    topic_ends_at(monkeypatch, None)
    run, log = run_of(TaskType.EXPORT_CREATE, "e")

    await create_export(run)

    assert [type(value) for value in log.written] == [Task]


def test_export_made_again_under_its_name_is_another_one() -> None:
    """What is left of the first, in Kafka or the ledger, is told apart by its uid (delivery protocol, identity)."""
    run, _ = run_of(TaskType.EXPORT_CREATE, "e")
    draft = ExportDraft("e", "e", Mapping("t", ()), Conditions())
    tokens, topic = {"e": SealedToken("1", b"")}, TopicFacts("topic", "id", (0,))

    first, again = (creating._exports(run, RECEIVER, [draft], tokens, topic)[0].uid for _ in range(2))

    assert first != again


async def test_receiver_made_again_waits_until_it_is_known_where_the_earlier_ones_events_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gateway may still write into the topic for the earlier one (delivery protocol, rule 20)."""
    run, log = run_of(TaskType.RECEIVER_CREATE)
    log.catalog.put_task(replace(run.task, progress=None))
    drained = Draining(replace(OTHER, uid="d"), run.topic, "id", 3, False, 0)
    log.catalog.put_draining(drained)
    known: list[bool] = []

    class Enough(Exception):
        """The topic is asked for; what follows is of no interest."""

    async def with_provisions(_run: Run, _wanted: object, _check: object, conclude: Callable[..., Any]) -> None:
        await conclude({})

    async def ensure_receiver_topic(*_: object) -> None:
        known.append(log.catalog.draining["d"].export.drain_to is not None)
        raise Enough

    monkeypatch.setattr(creating, "with_provisions", with_provisions)
    monkeypatch.setattr(creating, "ensure_receiver_topic", ensure_receiver_topic)
    monkeypatch.setattr(creating, "_LOOK_AGAIN_SECONDS", 0)
    making = asyncio.create_task(create_receiver(run))
    for _ in range(5):
        await asyncio.sleep(0)

    log.catalog.put_draining(replace(drained, export=replace(drained.export, drain_to=())))
    with pytest.raises(Enough):
        await making

    assert known == [True]


async def test_receiver_is_refused_whose_topic_was_bound_without_a_claim_after_the_first_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a control process of an earlier version, while one after the other is replaced."""
    run, log = run_of(TaskType.RECEIVER_CREATE)
    log.catalog.put_task(replace(run.task, progress=None))
    draft = ReceiverDraft("a", "a", "", source=SourceDraft("orders"))
    around = replace(run.around, cipher=Cipher([Cipher.new_key()]))
    run = Run(around, run.log, replace(run.command, payload=dump_draft(draft)))

    async def with_provisions(_run: Run, _wanted: object, _check: object, conclude: Callable[..., Any]) -> None:
        await conclude({})

    async def find_sources(*_: object) -> TopicFacts:
        return TopicFacts("orders", "id", (0,))

    async def claim(*_: object) -> str:
        log.catalog.put_receiver(replace(RECEIVER, uid="s", project_id="2", topic="orders"))
        return "u"

    for other in (with_provisions, find_sources, claim):
        monkeypatch.setattr(creating, other.__name__, other)

    with pytest.raises(Conflict, match='"orders" is read by another project'):
        await create_receiver(run)
