"""Where the events of a deleted export end (delivery protocol, rule 20)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from app.api.drafts import Deletion, dump_draft
from app.control import deleting
from app.control.deleting import _ended, delete_export
from app.control.records import TopicFacts
from app.control.run import Run, Surroundings
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.receiver import Draining, Export, Mapping, Receiver, Revision, SourceOffset
from app.model.task import Command, Task, TaskStatus, TaskType
from app.settings import Settings

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id", 3, 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
ENDS = (3, 0, 7)


class Log:
    """A control log that keeps what is drained, and the keys of what has ended."""

    def __init__(self, task: Task) -> None:
        self.catalog, self.names = Catalog(), Names("test")
        self.drained: list[Draining] = []
        self.gone: list[str] = []
        self.catalog.put_receiver(RECEIVER)
        self.catalog.put_export(EXPORT)
        self.catalog.put_task(task)

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        records = decide()
        self.gone += [cast(str, record.key) for record in records if record.value is None]
        values = [control_codec.decode(record.value) for record in records if record.value is not None]
        self.drained += [value for value in values if isinstance(value, Draining)]


@pytest.mark.parametrize(
    ("facts", "drain_to"),
    [
        (TopicFacts("topic", "id", ENDS), (SourceOffset("id", 0, 3), SourceOffset("id", 2, 7))),
        (TopicFacts("topic", "another", ENDS), None),
        (TopicFacts("topic", "id", ENDS[:2]), None),
        (None, None),
        (KafkaUnavailable("refused"), None),
    ],
    ids=["known", "another topic", "partitions missing", "not shown", "not said"],
)
async def test_deleted_export_is_drained_to_where_its_topic_ends_or_that_is_found_out_later(
    monkeypatch: pytest.MonkeyPatch,
    facts: TopicFacts | KafkaUnavailable | None,
    drain_to: tuple[SourceOffset, ...] | None,
) -> None:
    async def find_topic(*_: object) -> TopicFacts | None:
        if isinstance(facts, KafkaUnavailable):
            raise facts
        return facts

    monkeypatch.setattr(deleting, "find_topic", find_topic)
    task = Task("1", "t", TaskType.EXPORT_DELETE, TaskStatus.PROCESSING, 0, "a", "e")
    log, settings = Log(task), Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)

    await delete_export(Run(around, cast(Any, log), Command(task, dump_draft(Deletion()), b"")))

    assert [(draining.export.uid, draining.export.drain_to) for draining in log.drained] == [("e", drain_to)]


@pytest.mark.parametrize(("discard", "free"), [(True, ["binding:r/shop.orders"]), (False, [])])
async def test_topics_are_free_for_others_once_nothing_of_them_is_drained(discard: bool, free: list[str]) -> None:
    task = Task("1", "t", TaskType.RECEIVER_DELETE, TaskStatus.PROCESSING, 0, "a")
    log, settings = Log(task), Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    log.catalog.put_receiver(replace(RECEIVER, topic="", topic_id="", partitions=0, pattern="shop.*"))
    log.catalog.put_binding(Binding("r", "1", "a", "shop.orders", "id", 1, 0))
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    run = Run(around, cast(Any, log), Command(task, dump_draft(Deletion(discard=discard)), b""))

    await log.transact(lambda: _ended(run, log.catalog.receivers["1/a"], [EXPORT], [RECEIVER], None))

    assert [key for key in log.gone if key.startswith("binding:")] == free


async def test_claim_that_came_too_late_goes_with_its_receiver() -> None:
    """When the first one went, the deleted receiver would be drained of a topic that it never read."""
    task = Task("1", "t", TaskType.RECEIVER_DELETE, TaskStatus.PROCESSING, 0, "a")
    log, settings = Log(task), Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    log.catalog.put_receiver(replace(RECEIVER, topic="", topic_id="", partitions=0, pattern="shop.*"))
    for uid, topic in (("r", "shop.orders"), ("other", "shop.returns"), ("r", "shop.returns")):
        log.catalog.put_binding(Binding(uid, "1", "a", topic, "id", 1, 0))
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    run = Run(around, cast(Any, log), Command(task, dump_draft(Deletion()), b""))

    await log.transact(lambda: _ended(run, log.catalog.receivers["1/a"], [EXPORT], [RECEIVER], None))

    assert [key for key in log.gone if key.startswith("binding:")] == ["binding:r/shop.returns"]
