"""Where the events of a deleted export end (delivery protocol, rule 20)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from app.api.drafts import Deletion, dump_draft
from app.control import deleting
from app.control.deleting import delete_export
from app.control.records import TopicFacts
from app.control.run import Run, Surroundings
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.receiver import Draining, Export, Mapping, Receiver, Revision, SourceOffset
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id", 3, 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
ENDS = (3, 0, 7)


class Log:
    """A control log that keeps what is drained."""

    def __init__(self, task: Task) -> None:
        self.catalog, self.names = Catalog(), Names("test")
        self.drained: list[Draining] = []
        self.catalog.put_receiver(RECEIVER)
        self.catalog.put_export(EXPORT)
        self.catalog.put_task(task)

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        values = [control_codec.decode(record.value) for record in decide() if record.value is not None]
        self.drained += [value for value in values if isinstance(value, Draining)]


@pytest.mark.parametrize(
    ("facts", "drain_to"),
    [
        (TopicFacts("topic", "id", ENDS), (SourceOffset("id", 0, 3), SourceOffset("id", 2, 7))),
        (TopicFacts("topic", "another", ENDS), None),
        (TopicFacts("topic", "id", ENDS[:2]), None),
        (None, None),
    ],
    ids=["known", "another topic", "partitions missing", "not shown"],
)
async def test_deleted_export_is_drained_to_where_its_topic_ends_or_that_is_found_out_later(
    monkeypatch: pytest.MonkeyPatch, facts: TopicFacts | None, drain_to: tuple[SourceOffset, ...] | None
) -> None:
    async def find_topic(*_: object) -> TopicFacts | None:
        return facts

    monkeypatch.setattr(deleting, "find_topic", find_topic)
    task = Task("1", "t", TaskType.EXPORT_DELETE, TaskStatus.PROCESSING, 0, "a", "e")
    log, settings = Log(task), Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)

    await delete_export(Run(around, cast(Any, log), Command(task, dump_draft(Deletion()), b"")))

    assert [(draining.export.uid, draining.export.drain_to) for draining in log.drained] == [("e", drain_to)]
