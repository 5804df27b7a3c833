"""The catalog: an export that is drained is known from its deletion to its end, and what ended leaves nothing."""

from __future__ import annotations

from dataclasses import replace

from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.receiver import Draining, Export, Mapping, Receiver, Revision, SourceOffset

RECEIVER = Receiver("r", "1", "a", "a", "", b"", "topic", "id", 4, 0)
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
DRAINING = Draining(replace(EXPORT, drain_to=(SourceOffset("id", 0, 7),)), "topic", "id", 4, False, 0)


def with_receiver() -> Catalog:
    catalog = Catalog()
    catalog.put_receiver(RECEIVER)
    catalog.put_export(EXPORT)
    return catalog


def test_export_that_is_drained_is_known_by_its_uid_and_by_no_name() -> None:
    catalog = with_receiver()

    catalog.put_draining(DRAINING)
    catalog.drop_export("1/a/e")
    catalog.drop_receiver("1/a")

    assert catalog.exports_by_uid == {"e": DRAINING.export}
    assert catalog.exports == {}
    assert catalog.topic_id("topic") == "id"


def test_export_made_again_under_the_name_is_another() -> None:
    catalog = with_receiver()
    catalog.put_draining(DRAINING)
    catalog.drop_export("1/a/e")

    catalog.put_export(replace(EXPORT, uid="new"))
    catalog.drop_draining("e")

    assert list(catalog.exports_by_uid) == ["new"]
    assert [export.uid for export in catalog.exports_of(RECEIVER)] == ["new"]


def test_topic_that_nobody_reads_has_no_id() -> None:
    catalog = with_receiver()
    catalog.drop_receiver("1/a")

    assert catalog.topic_id("topic") is None


def test_receivers_topic_counts_before_what_is_drained_from_an_earlier_one() -> None:
    catalog = with_receiver()
    catalog.put_draining(replace(DRAINING, topic_id="old"))

    assert catalog.topic_id("topic") == "id"


def test_receiver_that_ended_with_its_exports_leaves_nothing() -> None:
    catalog = with_receiver()

    catalog.drop_export("1/a/e")
    catalog.drop_receiver("1/a")

    assert catalog == Catalog()


def test_mark_of_no_partition_of_ours_is_dropped_without_a_word() -> None:
    catalog = Catalog()

    catalog.drop_forgotten("no number")

    assert catalog == Catalog()
