"""Which exports take which events of a chunk."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.mapper.targets import exports_from, first_offset, need_ids, targets, wanted_topics
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.receiver import Column, ColumnType, Draining, Export, Mapping, Receiver, Revision, SourceOffset

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id-1", 4, 0)
REVISION = Revision(1, Mapping("in.c-b.t", (Column("body", ColumnType.BODY),)), "1", b"", 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (REVISION,), 0)
OFFSETS = list(range(100, 110))


def bounds(export: Export) -> list[tuple[int, int]]:
    return [target.bounds(OFFSETS) for target in targets("id-1", [export], 2, 100, 110)]


def draining(uid: str, topic_id: str = "id-1", start: int = 0) -> Draining:
    export = replace(EXPORT, uid=uid, receiver_uid="old", starts=(SourceOffset(topic_id, 2, start),))
    return Draining(export, "topic", topic_id, 4, False, 0)


def catalog_of(*drainings: Draining, receiver: Receiver | None = None) -> Catalog:
    catalog = Catalog()
    if receiver is not None:
        catalog.put_receiver(receiver)
        catalog.put_export(EXPORT)
    for one in drainings:
        catalog.put_draining(one)
    return catalog


def test_export_takes_the_whole_chunk() -> None:
    assert bounds(EXPORT) == [(0, 10)]


@pytest.mark.parametrize(("start", "expected"), [(90, (0, 10)), (104, (4, 10)), (110, (10, 10)), (200, (10, 10))])
def test_events_before_the_exports_start_are_not_its_own(start: int, expected: tuple[int, int]) -> None:
    export = replace(EXPORT, starts=(SourceOffset("id-1", 2, start),))

    assert bounds(export) == [expected]


@pytest.mark.parametrize("place", [SourceOffset("id-1", 3, 105), SourceOffset("id-0", 2, 105)])
def test_starts_of_other_partitions_and_topics_do_not_count(place: SourceOffset) -> None:
    assert bounds(replace(EXPORT, starts=(place,))) == [(0, 10)]


def test_topics_are_read_that_have_a_receiver_or_something_to_drain() -> None:
    gone = replace(draining("d"), topic="gone")

    assert wanted_topics(catalog_of(gone, receiver=RECEIVER)) == {"topic", "gone"}


def test_a_deleted_receivers_exports_take_events_beside_those_of_its_successor() -> None:
    catalog = catalog_of(draining("d"), receiver=RECEIVER)

    assert [export.uid for export in exports_from(catalog, "topic")] == ["d", "e"]


def test_export_that_is_being_deleted_takes_events_once() -> None:
    catalog = catalog_of(draining("e"), receiver=RECEIVER)

    assert [export.receiver_uid for export in exports_from(catalog, "topic")] == ["old"]


def test_nothing_is_drained_from_another_topic_of_the_same_name() -> None:
    catalog = catalog_of(draining("d", "id-0"), receiver=RECEIVER)

    assert [export.uid for export in exports_from(catalog, "topic")] == ["e"]


@pytest.mark.parametrize(
    ("drainings", "expected"), [((), 103), ((draining("d", start=7),), 7), ((draining("d", start=200),), 103)]
)
def test_reading_of_a_kept_topic_begins_where_the_first_who_takes_begins(
    drainings: tuple[Draining, ...], expected: int
) -> None:
    receiver = replace(RECEIVER, starts=(SourceOffset("id-1", 2, 103),))

    assert first_offset(catalog_of(*drainings, receiver=receiver), "topic", 2) == expected


@pytest.mark.parametrize(
    ("drain_to", "expected"), [(105, [(0, 5)]), (300, [(0, 10)]), (101, [(0, 1)]), (100, []), (7, [])]
)
def test_drained_export_takes_nothing_from_its_end_on(drain_to: int, expected: list[tuple[int, int]]) -> None:
    export = replace(EXPORT, drain_to=(SourceOffset("id-1", 2, drain_to),))

    assert bounds(export) == expected


def test_ids_are_needed_when_a_column_shows_them() -> None:
    revision = replace(REVISION, mapping=Mapping("in.c-b.t", (Column("id", ColumnType.ID),)))

    assert need_ids(targets("id-1", [EXPORT, replace(EXPORT, revisions=(revision,))], 0, 0, 1))
    assert not need_ids(targets("id-1", [EXPORT], 0, 0, 1))


BOUND = replace(RECEIVER, topic="", topic_id="", partitions=0, pattern="shop.*")
CLAIMS = [Binding("r", "1", "a", f"shop.{name}", f"id-{name}", 2, 0) for name in ("a", "b")]


def bound_catalog(*others: Binding) -> Catalog:
    catalog = catalog_of(receiver=BOUND)
    for claim in (*CLAIMS, *others):
        catalog.put_binding(claim)
    return catalog


def test_topics_of_a_pattern_are_read_for_the_receiver_that_claimed_them_first() -> None:
    later = Binding("s", "2", "b", "shop.a", "id-a", 2, 0)

    catalog = bound_catalog(later)

    assert wanted_topics(catalog) == {"shop.a", "shop.b"}
    assert [export.uid for export in exports_from(catalog, "shop.a")] == ["e"]
    assert catalog.reading_of("shop.a") == "id-a/r"


def test_topic_that_is_only_claimed_is_not_read() -> None:
    catalog = Catalog()
    catalog.put_binding(CLAIMS[0])

    assert wanted_topics(catalog) == set()


def test_topics_of_a_deleted_receiver_with_a_pattern_are_read_until_it_is_drained() -> None:
    catalog = bound_catalog()
    catalog.put_draining(Draining(replace(EXPORT, drain_to=None), "", "", 0, False, 0))
    catalog.drop_export("1/a/e")
    catalog.drop_receiver("1/a")

    drained = wanted_topics(catalog), [export.uid for export in exports_from(catalog, "shop.b")]
    catalog.drop_draining("e")

    assert drained == ({"shop.a", "shop.b"}, ["e"])
    assert wanted_topics(catalog) == set()


def test_each_topic_of_a_pattern_begins_where_it_was_when_the_receiver_was_made_and_a_later_one_at_its_beginning() -> (
    None
):
    catalog = bound_catalog()
    catalog.put_receiver(replace(BOUND, starts=(SourceOffset("id-a", 1, 40),)))

    assert [first_offset(catalog, topic, 1) for topic in ("shop.a", "shop.b")] == [40, 0]
