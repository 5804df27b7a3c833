"""When an export that rests is suspended by itself: what the mapper tells control, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mapper_world import EXPORT, REVISION

from app.api.drafts import Suspending, load_draft
from app.mapper.resting import RestReports
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.model.receiver import Draining, Export, Suspension
from app.model.task import Task, TaskType


class Surroundings:
    """Who rests, and where commands go."""

    def __init__(self) -> None:
        self.rested = {"e/1": 61.0}
        self.sent: list[tuple[Task, str]] = []
        self.is_away = False

    def rested_seconds(self, key: str) -> float:
        return self.rested.get(key, 0.0)

    def why(self, key: str) -> str:
        return "max stack frames exceeded"

    async def send(self, task: Task, payload: str) -> None:
        if self.is_away:
            raise KafkaUnavailable("away")
        self.sent.append((task, payload))


def reports(world: Surroundings, export: Export = EXPORT, *, drains: bool = False) -> RestReports:
    catalog = Catalog()
    catalog.put_export(export)
    if drains:
        catalog.put_draining(Draining(export, "topic", "id-1", 1, False, 0))
    return RestReports(catalog, world, world.send, 60.0)


async def test_control_is_told_which_revision_rests_and_why() -> None:
    world = Surroundings()
    told = reports(world)

    export = told.due("e")
    assert export is not None
    await told.report(export)

    ((task, payload),) = world.sent
    asked = load_draft(Suspending, payload)
    assert (task.type, task.export_id) == (TaskType.EXPORT_SUSPEND, "e")
    assert (asked.uid, asked.revision) == ("e", 1)
    assert "max stack frames exceeded" in asked.reason


def test_export_that_has_not_rested_for_long_goes_on() -> None:
    world = Surroundings()
    world.rested["e/1"] = 59.0

    assert reports(world).due("e") is None


@pytest.mark.parametrize(
    "export",
    [
        replace(EXPORT, suspensions=(Suspension(0, first=()),)),
        replace(EXPORT, revisions=(replace(REVISION, mapping=replace(REVISION.mapping, incremental=False)),)),
        replace(EXPORT, revisions=(REVISION, replace(REVISION, number=2))),
    ],
    ids=["suspended", "full load", "mended"],
)
def test_export_that_cannot_or_need_not_be_suspended_is_left_alone(export: Export) -> None:
    assert reports(Surroundings(), export).due("e") is None


def test_deleted_export_is_drained_and_not_suspended() -> None:
    assert reports(Surroundings(), drains=True).due("e") is None


def test_control_is_not_told_with_every_chunk() -> None:
    told = reports(Surroundings())

    assert [told.due("e") is not None for _ in range(3)] == [True, False, False]


async def test_kafka_that_is_away_ends_nothing() -> None:
    world = Surroundings()
    world.is_away = True

    await reports(world).report(EXPORT)

    assert world.sent == []


async def test_report_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Surroundings()
    monkeypatch.setattr(world, "why", lambda _key: 1 // 0)

    await reports(world).report(EXPORT)

    assert world.sent == []
