"""Suspending and resuming where Kafka or the program fails: nobody is held up for ever, no row is doubled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from app.api.drafts import Suspending, dump_draft
from app.control import creating, tokens, topics
from app.control.run import Run, Surroundings
from app.control.steps import Failure, Progress, dump_progress
from app.control.suspending import pause_export, resume_export
from app.control.tasks import carry_out
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.receiver import Export, Mapping, Receiver, Revision, SourceOffset, Suspension
from app.model.replay import OffsetRange, Replay
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id", 1, 0)
REVISION = Revision(1, Mapping("t", ()), "1", b"", 0)
LANE = replace(REVISION, number=100_001, token_id="2")
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (REVISION,), 0)
ENDS = (SourceOffset("id", 0, 7),)
WAITS = Suspension(0, first=(SourceOffset("id", 0, 3),))
Ends = tuple[SourceOffset, ...] | Exception | None


class Log:
    """A control log that is in force as soon as it is written."""

    def __init__(self, task: Task, export: Export) -> None:
        self.catalog, self.names = Catalog(), Names("test")
        self.catalog.put_receiver(RECEIVER)
        self.catalog.put_export(export)
        self.catalog.put_task(task)
        self.exports: list[Export] = []
        self.replays: list[Replay] = []

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        for value in [control_codec.decode(record.value) for record in decide() if record.value is not None]:
            if isinstance(value, Export):
                self.exports.append(value)
                self.catalog.put_export(value)
            elif isinstance(value, Replay):
                self.replays.append(value)
            elif isinstance(value, Task):
                self.catalog.put_task(value)

    @property
    def task(self) -> Task:
        return self.catalog.tasks["1/t"]

    @property
    def export(self) -> Export:
        return self.catalog.exports["1/a/e"]


def run_of(kind: TaskType, *suspensions: Suspension, announced: bool = False) -> tuple[Run, Log]:
    progress = dump_progress(Progress(made=True)) if announced else None
    task = Task("1", "t", kind, TaskStatus.PROCESSING, 0, "a", "e", progress=progress)
    log = Log(task, replace(EXPORT, suspensions=suspensions))
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    surroundings = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    return Run(surroundings, cast(Any, log), Command(task, "{}", b"")), log


@pytest.fixture(autouse=True)
def spent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tokens that are deleted in Storage."""
    found: list[str] = []

    async def delete(_run: Run, _deleter: bytes, token_ids: Sequence[str], _deadline: float) -> dict[str, Any]:
        found.extend(token_ids)
        return {}

    monkeypatch.setattr(tokens, "delete_spent_tokens", delete)
    return found


@pytest.fixture
def kafka_says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What Kafka says of the topic's ends, one after the other; the last for ever."""

    def says(*answers: Ends) -> None:
        left = list(answers)

        async def ends_or_gone(*_: Any) -> tuple[SourceOffset, ...] | None:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(topics, "ends_or_gone", ends_or_gone)
        monkeypatch.setattr(creating, "_LOOK_AGAIN_SECONDS", 0)

    return says


async def test_topic_that_is_unclear_announces_no_suspension(kafka_says: Callable[..., None]) -> None:
    kafka_says(KafkaUnavailable("not clear"))
    run, log = run_of(TaskType.EXPORT_PAUSE)
    run.make_until = run.undo_until = 0

    await carry_out(run)

    assert (log.task.status, log.task.error) == (TaskStatus.ERROR, "not clear")
    assert log.exports == []


async def test_suspension_begins_where_the_topic_ends_after_it_was_announced(kafka_says: Callable[..., None]) -> None:
    kafka_says((), KafkaUnavailable("not now"), ENDS)
    run, log = run_of(TaskType.EXPORT_PAUSE)

    await pause_export(run)

    assert [export.suspensions[-1].first for export in log.exports] == [None, ENDS]
    assert log.task.status is TaskStatus.SUCCESS


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(KafkaUnavailable("away"), "away"), (ZeroDivisionError(), "Application error")],
    ids=["kafka", "defect"],
)
async def test_suspension_that_does_not_come_to_its_offsets_is_taken_back(
    kafka_says: Callable[..., None], trouble: Exception, words: str
) -> None:
    kafka_says(trouble)
    run, log = run_of(TaskType.EXPORT_PAUSE, Suspension(0), announced=True)
    run.undo_until = 0

    await carry_out(run)

    assert log.export.suspensions == ()
    assert log.task.status is TaskStatus.ERROR
    assert words in str(log.task.error)
    assert "as it was before" in str(log.task.error)


async def test_resume_that_does_not_come_to_its_offsets_is_taken_back(
    kafka_says: Callable[..., None], spent: list[str]
) -> None:
    kafka_says(ZeroDivisionError())
    run, log = run_of(TaskType.EXPORT_RESUME, replace(WAITS, lane=LANE), announced=True)

    await carry_out(run)

    assert log.export.suspensions == (WAITS,)
    assert log.task.status is TaskStatus.ERROR
    assert spent == ["2"]


async def test_resume_that_was_taken_back_fails_also_when_its_process_dies(spent: list[str]) -> None:
    run, log = run_of(TaskType.EXPORT_RESUME, WAITS, announced=True)
    failure = Failure("no")
    await run.save(Progress(made=True, failure=failure, spent_tokens=("2",)))

    await carry_out(run)

    assert (log.task.status, log.task.error) == (TaskStatus.ERROR, "no")
    assert (spent, log.exports) == (["2"], [])


async def test_resume_maps_what_waited(kafka_says: Callable[..., None]) -> None:
    kafka_says(ENDS)
    run, log = run_of(TaskType.EXPORT_RESUME, replace(WAITS, lane=LANE), announced=True)

    await resume_export(run)

    assert log.replays[0].ranges == (OffsetRange(0, 3, 7),)
    assert log.export.suspension is None


async def test_resume_of_many_topics_names_only_those_in_which_something_waited(
    kafka_says: Callable[..., None],
) -> None:
    run, log = run_of(TaskType.EXPORT_RESUME, replace(WAITS, lane=LANE), announced=True)
    log.catalog.put_receiver(replace(RECEIVER, topic="", topic_id="", pattern="shop.*"))
    for name in "ab":
        log.catalog.put_binding(Binding("r", "1", "a", f"shop.{name}", f"id-{name}", 1, 0))
    kafka_says((SourceOffset("id-a", 0, 0),), (SourceOffset("id-b", 0, 4),))

    await resume_export(run)

    assert log.replays[0].ranges == (OffsetRange(0, 0, 4, "shop.b", "id-b"),)


async def test_resume_of_a_topic_that_is_gone_says_so(kafka_says: Callable[..., None]) -> None:
    kafka_says(None)
    run, log = run_of(TaskType.EXPORT_RESUME, replace(WAITS, lane=LANE), announced=True)

    await resume_export(run)

    assert (log.export.suspension, log.replays[0].ranges) == (None, ())
    assert "what waited is gone with its topic" in str(log.task.result)


async def test_suspension_whose_beginning_was_never_found_out_is_resumed_without_a_replay() -> None:
    run, log = run_of(TaskType.EXPORT_RESUME, Suspension(0))

    await resume_export(run)

    assert (log.export.suspensions, log.replays) == ((), [])
    assert log.task.status is TaskStatus.SUCCESS


@pytest.mark.parametrize(
    ("says", "told"), [(ENDS, True), (KafkaUnavailable("away"), False)], ids=["well", "taken back"]
)
async def test_log_says_that_an_export_is_suspended_only_when_it_is(
    kafka_says: Callable[..., None], caplog: pytest.LogCaptureFixture, says: Ends, told: bool
) -> None:
    kafka_says(says)
    run, log = run_of(TaskType.EXPORT_SUSPEND, Suspension(0), announced=True)
    run.command = replace(run.command, payload=dump_draft(Suspending("e", 1, "it rests")))
    run.undo_until = 0

    await carry_out(run)

    assert (log.export.suspension is not None) is told
    assert ("is suspended: its events wait" in caplog.text) is told
