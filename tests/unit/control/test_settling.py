"""Which ends are to be found out, and the record that says one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from app.control import topics
from app.control.run import Surroundings
from app.control.settling import Open, Settling, open_ends, with_end
from app.kafka.codec import control_codec
from app.kafka.names import Names
from app.kafka.transaction import Record
from app.model.binding import Binding, SourceTopic
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.receiver import Draining, Export, Mapping, Receiver, Revision, SourceOffset
from app.settings import Settings

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id", 4, 0)
REVISIONS = tuple(Revision(number, Mapping("in.c-b.t", ()), str(number), b"", 0) for number in (1, 2, 3))
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), REVISIONS, 0)
TOPIC = SourceTopic("topic", "id", 4)
PLACES = (SourceOffset("id", 0, 7),)


class Log:
    """A control log that keeps to where exports are drained."""

    def __init__(self) -> None:
        self.catalog, self.names = Catalog(), Names("test")
        self.ends: dict[str, Any] = {}

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        for record in decide():
            value = control_codec.decode(record.value or b"")
            assert isinstance(value, Draining)
            self.ends[value.export.uid] = value.export.drain_to


def catalog_of(export: Export, *, drained: bool = False) -> Catalog:
    catalog = Catalog()
    if drained:
        catalog.put_draining(Draining(export, "topic", "id", 4, False, 0))
    else:
        catalog.put_receiver(RECEIVER)
        catalog.put_export(export)
    return catalog


def test_earlier_revisions_have_ends_to_be_found_out() -> None:
    catalog = catalog_of(EXPORT)

    assert open_ends(catalog) == [Open("e", 1, (TOPIC,)), Open("e", 2, (TOPIC,))]


def test_deleted_export_has_one_end() -> None:
    assert open_ends(catalog_of(EXPORT, drained=True)) == [Open("e", None, (TOPIC,))]


@pytest.mark.parametrize("drained", [False, True])
def test_end_that_is_known_is_not_asked_for_again(drained: bool) -> None:
    known = replace(EXPORT, drain_to=PLACES) if drained else replace(EXPORT, revisions=REVISIONS[-1:])

    assert open_ends(catalog_of(known, drained=drained)) == []


def test_end_of_a_revision_is_written_into_it_alone() -> None:
    export = with_end(catalog_of(EXPORT), Open("e", 2, (TOPIC,)), PLACES)

    assert isinstance(export, Export)
    assert [revision.until for revision in export.revisions] == [None, PLACES, None]


def test_end_of_a_deleted_export_is_where_it_is_drained_to() -> None:
    draining = with_end(catalog_of(EXPORT, drained=True), Open("e", None, (TOPIC,)), PLACES)

    assert isinstance(draining, Draining)
    assert draining.export.drain_to == PLACES


@pytest.mark.parametrize(
    ("end", "drained"),
    [
        (Open("x", 1, (TOPIC,)), False),
        (Open("e", None, (TOPIC,)), False),
        (Open("e", 3, (TOPIC,)), False),
        (Open("e", 9, (TOPIC,)), False),
        (Open("e", 1, (TOPIC,)), True),
    ],
)
def test_end_that_interests_nobody_any_more_is_not_written(end: Open, drained: bool) -> None:
    assert with_end(catalog_of(EXPORT, drained=drained), end, PLACES) is None


async def test_unclear_topic_holds_up_no_other_and_only_one_that_is_gone_ends_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three deleted exports, in the order in which they are asked for."""
    log = Log()
    for topic in ("gone", "there", "anew"):
        export = replace(EXPORT, uid=topic)
        log.catalog.put_draining(Draining(export, topic, "id", 4, False, 0))
    answers = {"gone": None, "there": PLACES}

    async def ends_or_gone(_admin: Any, topic: str, *_: Any) -> tuple[SourceOffset, ...] | None:
        if topic not in answers:
            raise KafkaUnavailable("not clear")
        return answers[topic]

    monkeypatch.setattr(topics, "ends_or_gone", ends_or_gone)
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    found = Settling(around, cast(Any, log), lambda _project_id: True)
    await found.settle(0)
    await found.settle(1000)

    assert log.ends == {"gone": (), "there": PLACES}


async def test_end_is_not_written_when_there_is_a_topic_by_then_that_was_not_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a receiver with a pattern: what came in that topic would be neither before the end nor behind it."""
    log = Log()
    export = replace(EXPORT, receiver_uid="r")
    log.catalog.put_draining(Draining(export, "", "", 0, False, 0))
    claims = [Binding("r", "1", "a", f"shop.{name}", f"id-{name}", 1, 0) for name in ("a", "b")]
    log.catalog.put_binding(claims[0])

    async def ends_or_gone(_admin: Any, _topic: str, topic_id: str, *_: Any) -> tuple[SourceOffset, ...] | None:
        log.catalog.put_binding(claims[1])
        return (SourceOffset(topic_id, 0, 7),)

    monkeypatch.setattr(topics, "ends_or_gone", ends_or_gone)
    settings = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    found = Settling(around, cast(Any, log), lambda _project_id: True)
    for now in (0, 1000):
        await found.settle(now)
    too_soon = dict(log.ends)
    for now in (1001, 2000):
        await found.settle(now)

    assert too_soon == {}
    assert log.ends == {"e": (SourceOffset("id-a", 0, 7), SourceOffset("id-b", 0, 7))}


async def test_topics_that_come_do_not_make_the_wait_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    log.catalog.put_draining(Draining(EXPORT, "", "", 0, False, 0))

    async def ends_or_gone(_admin: Any, _topic: str, topic_id: str, *_: Any) -> tuple[SourceOffset, ...] | None:
        return (SourceOffset(topic_id, 0, 7),)

    monkeypatch.setattr(topics, "ends_or_gone", ends_or_gone)
    settings = Settings(_env_file=None, view_staleness_seconds=15)  # type: ignore[call-arg]  # pydantic-settings' own
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    found = Settling(around, cast(Any, log), lambda _project_id: True)
    for now in (0, 10, 20):
        log.catalog.put_binding(Binding("r", "1", "a", f"shop.{now}", f"id-{now:02}", 1, 0))
        await found.settle(now)

    assert log.ends == {"e": tuple(SourceOffset(f"id-{now:02}", 0, 7) for now in (0, 10, 20))}


async def test_end_is_asked_for_once_no_gateway_can_acknowledge_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway's view may be `view_staleness_seconds` old (rule 20): what it still takes lies before the end."""
    log = Log()
    log.catalog.put_draining(Draining(EXPORT, "topic", "id", 4, False, 0))

    async def ends_or_gone(*_: Any) -> tuple[SourceOffset, ...] | None:
        return PLACES

    monkeypatch.setattr(topics, "ends_or_gone", ends_or_gone)
    settings = Settings(_env_file=None, view_staleness_seconds=15)  # type: ignore[call-arg]  # pydantic-settings' own
    around = Surroundings(settings, cast(Any, None), cast(Any, None), rows_partitions=1)
    found = Settling(around, cast(Any, log), lambda _project_id: True)
    await found.settle(100)
    await found.settle(115)
    too_soon = dict(log.ends)
    await found.settle(117)

    assert too_soon == {}
    assert log.ends == {"e": PLACES}
