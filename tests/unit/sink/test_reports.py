"""What is over is reported once, and again only when control did not act on it for a while."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.api.drafts import Retirement, load_draft
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.receiver import Export, Mapping, Revision
from app.model.task import Task, TaskType
from app.sink import reports
from app.sink.reports import FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS, EndReports

EXPORT = Export("e", "r", "1", "a", "x", "x", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Kafka:
    """Takes commands, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away, self.sent = away, list[tuple[Task, str]]()

    async def send(self, task: Task, payload: str) -> None:
        if self.away:
            raise KafkaUnavailable("away")
        self.sent.append((task, payload))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reports, "time", clock)
    return clock


def test_report_is_due_once_and_again_after_a_while(clock: Clock) -> None:
    told = EndReports(Kafka().send)

    first, second = told.due(EXPORT, (1,)), told.due(EXPORT, (1,))
    clock.now += FIRST_PAUSE_SECONDS

    assert (first, second, told.due(EXPORT, (1,))) == (True, False, True)


def test_report_that_nobody_acts_on_is_due_ever_more_seldom(clock: Clock) -> None:
    told = EndReports(Kafka().send)

    times = []
    for _ in range(24 * 60):
        if told.due(EXPORT, (1,)):
            times.append(clock.now - 1000)
        clock.now += 60

    assert times[:5] == [0, 60, 120, 240, 480]
    assert {after - before for before, after in zip(times[-9:], times[-8:], strict=False)} == {LAST_PAUSE_SECONDS}


def test_what_ends_later_is_due_at_once(clock: Clock) -> None:
    told = EndReports(Kafka().send)
    told.due(EXPORT, (1,))

    assert told.due(EXPORT, (1, 2))
    assert told.due(replace(EXPORT, uid="other"), (1,))


async def test_report_is_a_command_for_the_exports_project() -> None:
    kafka = Kafka()

    await EndReports(kafka.send).report(EXPORT, (1, 2))

    ((task, payload),) = kafka.sent
    assert (task.project_id, task.type, task.receiver_id, task.export_id) == ("1", TaskType.EXPORT_RETIRE, "a", "x")
    assert load_draft(Retirement, payload) == Retirement("e", (1, 2))


async def test_kafka_that_is_away_ends_nothing() -> None:
    await EndReports(Kafka(away=True).send).report(EXPORT, (1,))
