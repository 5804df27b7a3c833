"""What the log has of replays when one of them is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from app.api.drafts import LaneResult, Retirement, dump_draft
from app.control import retiring
from app.control.retiring import retire_revisions
from app.control.run import Run, Surroundings, now_ms
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.receiver import Draining, Export, Mapping, Revision
from app.model.replay import KEPT_REPLAYS, LANE_STEP, OffsetRange, Replay, ReplayKind
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

REVISION = Revision(1, Mapping("t", ()), "1", b"", 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (REVISION,), 0)
NAMES = (ReplayKind.REPLAY, "1", "a", "e", "e")


class Log:
    """A control log that keeps what is written."""

    def __init__(self, task: Task) -> None:
        self.catalog, self.names, self.written = Catalog(), Names("test"), list[Record]()
        self.catalog.put_task(task)
        self.catalog.put_export(EXPORT)

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        self.written += decide()


def replay(number: int, finished_ms: int | None) -> Replay:
    revision = replace(REVISION, number=number * LANE_STEP)
    ranges = (OffsetRange(0, 0, 3),)
    return Replay(f"lane-{number}", *NAMES, revision, "topic", "topic", "id", ranges, 0, b"", finished_ms=finished_ms)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage and Kafka do what is asked; the topic is there."""

    async def nothing(*_: Any) -> tuple[()]:
        return ()

    for name in ("_delete", "_forget_progress", "ends_or_gone"):
        monkeypatch.setattr(retiring, name, nothing)


async def retired(older: Sequence[Replay], last: Replay, retention_hours: float = 168) -> list[Record]:
    """What is written when the last of these replays is over."""
    asked = Retirement("e", (last.revision.number,), (LaneResult(last.revision.number, 3, 0),))
    task = Task("1", "t", TaskType.EXPORT_RETIRE, TaskStatus.PROCESSING, 0, "a", "e")
    log = Log(task)
    for one in (*older, last):
        log.catalog.put_replay(one)
    settings = Settings(_env_file=None, retention_hours=retention_hours)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    await retire_revisions(Run(around, cast(Any, log), Command(task, dump_draft(asked), b"")))
    return log.written


async def test_oldest_finished_replays_are_forgotten_when_another_is_over() -> None:
    last = replay(KEPT_REPLAYS + 2, None)

    written = await retired([replay(number, 1) for number in range(1, KEPT_REPLAYS + 2)], last)

    assert [record.key for record in written if record.value is None] == ["replay:e/lane-1", "replay:e/lane-2"]
    values = [control_codec.decode(record.value) for record in written if record.value is not None]
    (finished,) = [value for value in values if isinstance(value, Replay)]
    assert (finished.lane, finished.is_finished, finished.rows, finished.note) == (last.lane, True, 3, None)


async def test_replay_is_kept_as_long_as_the_segment_may_be_there_that_has_its_dead_letters() -> None:
    """However short the retention is: Kafka writes to a segment for up to 7 days, and deletes it as a whole."""
    finished_ms = now_ms() - 7 * 24 * 3_600_000
    older = [replay(number, finished_ms) for number in range(1, KEPT_REPLAYS + 2)]

    written = await retired(older, replay(KEPT_REPLAYS + 2, None), retention_hours=1)

    assert [record.key for record in written if record.value is None] == []


@pytest.mark.parametrize(("others", "free"), [(0, ["binding:r/shop.orders"]), (1, [])])
async def test_topics_are_free_for_others_with_the_last_export_that_is_drained(others: int, free: list[str]) -> None:
    task = Task("1", "t", TaskType.EXPORT_RETIRE, TaskStatus.PROCESSING, 0, "a", "e")
    log = Log(task)
    for number in range(1 + others):
        export = replace(EXPORT, uid=f"e{number}", drain_to=())
        log.catalog.put_draining(Draining(export, "", "", 0, False, 0))
    log.catalog.put_binding(Binding("r", "1", "a", "shop.orders", "id", 1, 0))
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)

    await retire_revisions(Run(around, cast(Any, log), Command(task, dump_draft(Retirement("e0", (1,))), b"")))

    gone = [cast(str, record.key) for record in log.written if record.value is None]
    assert [key for key in gone if key.startswith("binding:")] == free
