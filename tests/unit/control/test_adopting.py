"""Topics that appear later: which receiver is bound to them, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from app.api.limits import Limits
from app.control import adopting
from app.control.adopting import Adopting, fitting, to_adopt
from app.control.run import Surroundings
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.kafka.view import ControlView
from app.model.binding import Binding, SourceTopic
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.receiver import Draining, Export, Mapping, Receiver, Revision, SourceOffset
from app.model.task import Task, TaskStatus, TaskType
from app.settings import Settings

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "", "", 0, 0, pattern="shop.*")
BOUND = Binding("r", "1", "a", "shop.orders", "id-shop.orders", 2, 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
PLACES = SourceOffset("id-shop.orders", 0, 7), SourceOffset("id-shop.returns", 1, 3)
LIMITS = Limits(source_topics=("1:shop.*", "1:shop-old"), max_source_partitions=4)
SETTINGS = Settings(_env_file=None, source_topics=["*:shop.*", "*:shop-*"])  # type: ignore[call-arg]  # pydantic-settings' own


def catalog_of(*claims: Binding) -> Catalog:
    catalog = Catalog()
    catalog.put_receiver(RECEIVER)
    for claim in claims:
        catalog.put_binding(claim)
    return catalog


class Log:
    """A control log whose view is as new as what is written; another process's claim may come just before."""

    def __init__(self, catalog: Catalog, quicker: Binding | None = None) -> None:
        self.catalog, self.names, self.written = catalog, Names("streams"), list[Record]()
        self._quicker = quicker

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        records = decide()
        if self._quicker is not None:
            self.catalog.put_binding(self._quicker)
            self._quicker = None
        for record in records:
            self.written.append(record)
            key = cast(str, record.key).partition(":")[2]
            if record.value is None:
                self.catalog.drop_binding(key)
            elif isinstance(value := control_codec.decode(record.value), Draining):
                self.catalog.put_draining(value)
            else:
                self.catalog.put_binding(cast(Binding, value))


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Look once at a Kafka with these topics, each of two partitions; one may be there that it does not
    show, of one it may say nothing, and one that it does not show may be asked for in vain.
    """

    async def topic_names(_admin: Any) -> list[str]:
        return list(there)

    there: list[str] = []
    unclear: list[str] = []
    silent: list[str] = []
    monkeypatch.setattr(adopting, "topic_names", topic_names)

    async def ends_or_gone(_admin: Any, name: str, topic_id: str) -> tuple[SourceOffset, ...] | None:
        if name in silent:
            raise KafkaUnavailable("no answer")
        if together is not None:
            await asyncio.wait_for(together.wait(), 60)
        return () if name in unclear else None

    together: asyncio.Barrier | None = None

    def describe(_admin: Any, names: Sequence[str]) -> dict[str, tuple[str, int] | None]:
        return {name: (f"id-{name}", 2) if name in there else None for name in names if name not in refused}

    refused: list[str] = []
    monkeypatch.setattr(adopting, "describe_known", describe)
    monkeypatch.setattr(adopting, "ends_or_gone", ends_or_gone)

    async def look(
        catalog: Catalog,
        *topics: str,
        not_sure: str = "",
        not_said: str = "",
        in_vain: str = "",
        quicker: Binding | None = None,
        at_once: int = 0,
        most: int = 300,
        times: int = 1,
    ) -> Log:
        nonlocal together
        together = asyncio.Barrier(at_once) if at_once else None
        there[:], unclear[:], refused[:], silent[:] = topics, [not_sure], [not_said], [in_vain]
        log = Log(catalog, quicker)
        settings = SETTINGS.model_copy(update={"max_source_partitions": most})
        around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
        adopting = Adopting(around, cast(Any, log), lambda project_id: project_id == "1")
        for _ in range(times):
            await adopting.look()
        return log

    return look


@pytest.mark.parametrize(
    ("topic", "adopted"),
    [
        ("shop.returns", True),
        ("shop.orders", False),  # is read already
        ("shop-old", False),  # another pattern's
        ("bank.orders", False),
        ("shop.events.1.a", False),  # a receiver's own, of another installation
    ],
)
def test_receiver_is_bound_to_what_its_pattern_means_and_nobody_reads(topic: str, adopted: bool) -> None:
    assert to_adopt(catalog_of(BOUND), LIMITS, RECEIVER, [topic]) == ([topic] if adopted else [])


def test_topic_that_the_operator_does_not_name_any_more_is_not_new() -> None:
    limits = replace(LIMITS, source_topics=("1:shop.orders", "2:*"))

    assert to_adopt(catalog_of(BOUND), limits, RECEIVER, ["shop.returns"]) == []


def test_receiver_is_bound_to_as_many_topics_as_it_can_have_room_for() -> None:
    names = ["shop.c", "shop.a", "shop.b"]

    assert to_adopt(catalog_of(BOUND), LIMITS, RECEIVER, names) == ["shop.a", "shop.b"]


def test_topic_is_left_out_when_not_all_its_partitions_have_room() -> None:
    sources = [SourceTopic(name, name, partitions) for name, partitions in (("a", 2), ("b", 3), ("c", 1), ("d", 1))]

    assert [source.topic for source in fitting(3, sources)] == ["a", "c"]
    assert fitting(0, sources) == []


async def test_topics_for_which_there_is_no_room_are_named_once(
    look: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    log = await look(catalog_of(BOUND), "shop.orders", "shop.a", "shop.b", most=5, times=2)

    assert [topic.topic for topic in log.catalog.topics_of(RECEIVER)] == ["shop.a", "shop.orders"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "receiver 1/a reads 4 partitions, and more than 5 are not allowed (STREAMS_MAX_SOURCE_PARTITIONS); "
        "topics that are not read: shop.b"
    ]


async def test_new_topic_is_claimed_with_its_id(look: Callable[..., Any]) -> None:
    log = await look(catalog_of(BOUND), "shop.orders", "shop.returns")

    assert [topic.topic for topic in log.catalog.topics_of(RECEIVER)] == ["shop.orders", "shop.returns"]
    assert log.catalog.topic_id("shop.returns") == "id-shop.returns"
    assert log.catalog.reader_of("shop.returns") == RECEIVER


async def test_topics_stay_as_they_are_while_a_task_of_the_receiver_is_under_way(look: Callable[..., Any]) -> None:
    catalog = catalog_of(BOUND)
    catalog.put_task(Task("1", "t", TaskType.EXPORT_PAUSE, TaskStatus.PROCESSING, 0, "a", "e"))

    assert (await look(catalog, "shop.orders", "shop.returns")).written == []


@pytest.mark.parametrize(
    "kind",
    [
        TaskType.EXPORT_RETIRE,
        TaskType.TOKENS_REFRESH,
        TaskType.BATCH_RETRY,
        TaskType.REPLAY_CANCEL,
        TaskType.RECEIVER_ROTATE,
    ],
)
async def test_task_that_does_not_ask_where_topics_end_holds_up_no_new_one(
    look: Callable[..., Any], kind: TaskType
) -> None:
    catalog = catalog_of(BOUND)
    catalog.put_task(Task("1", "t", kind, TaskStatus.PROCESSING, 0, "a", "e"))

    log = await look(catalog, "shop.orders", "shop.returns")

    assert "shop.returns" in log.catalog.bindings


async def test_receivers_of_other_partitions_are_left_to_others(look: Callable[..., Any]) -> None:
    catalog = Catalog()
    catalog.put_receiver(replace(RECEIVER, project_id="2"))

    assert (await look(catalog, "shop.returns")).written == []


async def test_claim_that_came_too_late_is_taken_back(look: Callable[..., Any]) -> None:
    first = Binding("s", "2", "b", "shop.returns", "id", 2, 0)
    catalog = catalog_of(BOUND, first, replace(BOUND, topic="shop.returns"))

    log = await look(catalog, "shop.orders")

    assert [(record.key, record.value) for record in log.written] == [("binding:r/shop.returns", None)]


async def test_claim_that_came_too_late_is_taken_back_before_other_receivers_are_looked_at(
    look: Callable[..., Any],
) -> None:
    """When the first one goes meanwhile, this one would count."""
    catalog = catalog_of(BOUND)
    catalog.put_receiver(replace(RECEIVER, uid="q", receiver_id="q", pattern="shop-*"))
    quicker = Binding("s", "2", "b", "shop.returns", "id", 2, 0)

    log = await look(catalog, "shop.orders", "shop.returns", "shop-old", quicker=quicker)

    keys = [(record.key, record.value is None) for record in log.written]
    assert keys[:2] == [("binding:r/shop.returns", False), ("binding:r/shop.returns", True)]


async def test_topic_that_is_gone_makes_room_and_one_that_is_only_not_shown_does_not(look: Callable[..., Any]) -> None:
    both = BOUND, replace(BOUND, topic="shop.returns", topic_id="id-shop.returns")

    log = await look(catalog_of(*both), not_sure="shop.orders")

    assert [(record.key, record.value) for record in log.written] == [("binding:r/shop.returns", None)]


@pytest.mark.parametrize("how", ["not_said", "in_vain"])
async def test_topic_of_which_kafka_says_nothing_stays_and_holds_up_no_other(
    look: Callable[..., Any], how: str
) -> None:
    both = BOUND, replace(BOUND, topic="shop.returns", topic_id="id-shop.returns")

    log = await look(catalog_of(*both), "shop.new", **{how: "shop.orders"})

    assert [topic.topic for topic in log.catalog.topics_of(RECEIVER)] == ["shop.new", "shop.orders"]


async def test_new_topic_of_which_kafka_says_nothing_is_not_claimed_yet(look: Callable[..., Any]) -> None:
    log = await look(catalog_of(BOUND), "shop.orders", "shop.new", "shop.secret", not_said="shop.secret")

    assert [topic.topic for topic in log.catalog.topics_of(RECEIVER)] == ["shop.new", "shop.orders"]


async def test_topic_that_was_made_anew_is_a_new_one(look: Callable[..., Any]) -> None:
    log = await look(catalog_of(replace(BOUND, topic_id="earlier")), "shop.orders")

    assert log.catalog.topics_of(RECEIVER) == (SourceTopic("shop.orders", "id-shop.orders", 2),)


async def test_topic_that_is_gone_stays_while_a_task_of_the_receiver_is_under_way(look: Callable[..., Any]) -> None:
    catalog = catalog_of(BOUND)
    catalog.put_task(Task("1", "t", TaskType.EXPORT_RESUME, TaskStatus.PROCESSING, 0, "a", "e"))

    assert (await look(catalog)).written == []


@pytest.mark.parametrize("deleted", [True, False])
async def test_deleted_export_is_not_drained_from_a_topic_that_is_gone(look: Callable[..., Any], deleted: bool) -> None:
    catalog = catalog_of(BOUND, replace(BOUND, topic="shop.returns", topic_id="id-shop.returns"))
    catalog.put_draining(Draining(replace(EXPORT, drain_to=PLACES), "", "", 0, False, 0))
    if deleted:
        catalog.drop_receiver("1/a")

    await look(catalog, "shop.orders")

    assert catalog.draining["e"].export.drain_to == PLACES[:1]
    assert list(catalog.bindings) == ["shop.orders"]


async def test_only_topic_of_a_deleted_receiver_is_let_go_when_it_is_gone(
    look: Callable[..., Any],
) -> None:
    catalog = Catalog()
    catalog.put_binding(BOUND)
    catalog.put_draining(Draining(replace(EXPORT, drain_to=PLACES[:1]), BOUND.topic, BOUND.topic_id, 2, False, 0))

    await look(catalog)

    assert (catalog.draining["e"].export.drain_to, catalog.bindings) == ((), {})


async def test_receiver_of_one_topic_waits_for_it(look: Callable[..., Any]) -> None:
    catalog = Catalog()
    catalog.put_receiver(replace(RECEIVER, topic=BOUND.topic, topic_id=BOUND.topic_id, pattern=None))
    catalog.put_binding(BOUND)
    catalog.put_draining(Draining(replace(EXPORT, drain_to=PLACES[:1]), BOUND.topic, BOUND.topic_id, 2, False, 0))

    assert (await look(catalog)).written == []


async def test_topics_that_are_gone_are_looked_for_at_the_same_time(look: Callable[..., Any]) -> None:
    """Of all receivers: one after the other, twenty would take two minutes in which nothing new is read."""
    catalog = catalog_of(BOUND, replace(BOUND, topic="shop.returns"))
    catalog.put_receiver(replace(RECEIVER, uid="q", receiver_id="q"))
    catalog.put_binding(replace(BOUND, receiver_uid="q", receiver_id="q", topic="shop.other"))

    log = await look(catalog, at_once=3)

    assert log.catalog.bindings == {}


async def test_topic_that_is_gone_is_named_once_it_is_let_go(
    look: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    catalog = catalog_of(BOUND)
    task = Task("1", "t", TaskType.EXPORT_RESUME, TaskStatus.PROCESSING, 0, "a")
    catalog.put_task(task)
    await look(catalog)
    too_soon = list(caplog.messages)

    catalog.put_task(replace(task, status=TaskStatus.SUCCESS))
    await look(catalog)

    assert (too_soon, caplog.messages) == ([], ["topic shop.orders, which receiver 1/a read, is gone"])


def test_claims_are_followed_in_the_log() -> None:
    view = ControlView(SETTINGS)

    class Message:
        def __init__(self, value: bytes | None) -> None:
            self._value = value

        def key(self) -> bytes:
            return b"binding:r/shop.orders"

        def value(self) -> bytes | None:
            return self._value

    view._take(cast(Any, Message(control_codec.encode(BOUND))))
    bound = view.catalog.binding_of("shop.orders")
    view._take(cast(Any, Message(None)))

    assert (bound, view.catalog.bindings) == (BOUND, {})
