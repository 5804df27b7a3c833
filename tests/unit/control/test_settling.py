"""Which ends are to be found out, and the record that says one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.control.settling import Open, open_ends, with_end
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.receiver import Draining, Export, Mapping, Receiver, Revision, SourceOffset

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id", 4, 0)
REVISIONS = tuple(Revision(number, Mapping("in.c-b.t", ()), str(number), b"", 0) for number in (1, 2, 3))
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), REVISIONS, 0)
PLACES = (SourceOffset("id", 0, 7),)


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

    assert open_ends(catalog) == [Open("e", 1, "topic", "id"), Open("e", 2, "topic", "id")]


def test_deleted_export_has_one_end() -> None:
    assert open_ends(catalog_of(EXPORT, drained=True)) == [Open("e", None, "topic", "id")]


@pytest.mark.parametrize("drained", [False, True])
def test_end_that_is_known_is_not_asked_for_again(drained: bool) -> None:
    known = replace(EXPORT, drain_to=PLACES) if drained else replace(EXPORT, revisions=REVISIONS[-1:])

    assert open_ends(catalog_of(known, drained=drained)) == []


def test_end_of_a_revision_is_written_into_it_alone() -> None:
    export = with_end(catalog_of(EXPORT), Open("e", 2, "topic", "id"), PLACES)

    assert isinstance(export, Export)
    assert [revision.until for revision in export.revisions] == [None, PLACES, None]


def test_end_of_a_deleted_export_is_where_it_is_drained_to() -> None:
    draining = with_end(catalog_of(EXPORT, drained=True), Open("e", None, "topic", "id"), PLACES)

    assert isinstance(draining, Draining)
    assert draining.export.drain_to == PLACES


@pytest.mark.parametrize(
    ("end", "drained"),
    [
        (Open("x", 1, "topic", "id"), False),
        (Open("e", None, "topic", "id"), False),
        (Open("e", 3, "topic", "id"), False),
        (Open("e", 9, "topic", "id"), False),
        (Open("e", 1, "topic", "id"), True),
    ],
)
def test_end_that_interests_nobody_any_more_is_not_written(end: Open, drained: bool) -> None:
    assert with_end(catalog_of(EXPORT, drained=drained), end, PLACES) is None
