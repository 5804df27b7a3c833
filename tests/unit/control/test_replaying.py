"""Which offsets a replay is of."""

from __future__ import annotations

from typing import Any, cast

import pytest

from app.api.drafts import ReplayDraft, dump_draft
from app.control import replaying
from app.control.replaying import Find, create_replay
from app.control.run import Run, Surroundings
from app.control.topics import Spans
from app.kafka.names import Names
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.receiver import Export, Mapping, Receiver, Revision
from app.model.replay import OffsetRange, ReplayKind
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "", "", 0, 0, pattern="shop.*")
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
SPANS = {"shop.a": OffsetRange(0, 3, 3), "shop.b": OffsetRange(0, 4, 9)}


async def test_replay_of_many_topics_names_only_those_with_events_of_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    async def find_spans(_admin: Any, name: str, *_times: int) -> Spans:
        return Spans(f"id-{name}", (SPANS[name],), "")

    async def begin_lane(_run: Run, _kind: ReplayKind, _table: str | None, find: Find) -> None:
        found.append(await find(EXPORT, RECEIVER))

    monkeypatch.setattr(replaying, "find_spans", find_spans)
    monkeypatch.setattr(replaying, "begin_lane", begin_lane)
    catalog = Catalog()
    catalog.put_receiver(RECEIVER)
    for name in SPANS:
        catalog.put_binding(Binding("r", "1", "a", name, f"id-{name}", 1, 0))

    await create_replay(run_of(catalog))

    assert found[0].ranges == (OffsetRange(0, 4, 9, "shop.b", "id-shop.b"),)


def run_of(catalog: Catalog) -> Run:
    class Log:
        names = Names("test")

    log = Log()
    log.catalog = catalog  # type: ignore[attr-defined]  # the part of a log that is looked at
    task = Task("1", "t", TaskType.REPLAY_CREATE, TaskStatus.PROCESSING, 0, "a", "e")
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    return Run(around, cast(Any, log), Command(task, dump_draft(ReplayDraft(0, 10, None)), b""))
