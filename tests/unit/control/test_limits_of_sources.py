"""A receiver reads so many partitions that the places of an export in all of them fit a record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.api.limits import Limits
from app.api.rules import MAX_SUSPENSIONS
from app.control.updating import size_in_the_end
from app.kafka.codec import control_codec
from app.model.conditions import MIB, Conditions
from app.model.receiver import Export, Mapping, Revision, SourceOffset, Suspension
from app.settings import Settings

NOW_MS = 1_800_000_000_000
DEFAULTS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument


def worst_export(partitions: int) -> Export:
    """Suspended and changed as often as it may be, with places in topics with billions of events a partition."""
    places = tuple(SourceOffset(f"{number:022}", number, 2**34) for number in range(partitions))
    revision = Revision(1, Mapping("in.c-b.t", ()), "1", b"t" * 200, NOW_MS, places)
    suspension = Suspension(NOW_MS, "r" * 200, places, places)
    return Export(
        *("e" * 22, "r" * 22, "1", "a" * 48, "e" * 48, "e" * 40, Conditions(), 0, places),
        *((revision,) * DEFAULTS.max_revisions, NOW_MS, places),
        suspensions=(suspension,) * MAX_SUSPENSIONS,
    )


@pytest.mark.parametrize("max_message_bytes", [MIB, 4 * MIB])
def test_places_of_an_export_leave_a_quarter_of_its_record(max_message_bytes: int) -> None:
    limits = Limits.of(DEFAULTS.model_copy(update={"max_message_bytes": max_message_bytes}))

    assert len(control_codec.encode(worst_export(limits.max_source_partitions))) < max_message_bytes * 3 // 4


def test_mapping_leaves_room_for_the_places_that_come_later() -> None:
    worst = worst_export(20)
    before = replace(
        worst,
        starts=(),
        drain_to=None,
        revisions=tuple(replace(revision, until=None) for revision in worst.revisions),
        suspensions=tuple(replace(one, first=None, end=None) for one in worst.suspensions),
    )

    assert size_in_the_end(before, 20) >= len(control_codec.encode(worst))


def test_own_topic_needs_no_room_for_places_beforehand() -> None:
    export = worst_export(4)

    assert size_in_the_end(export, 0) == len(control_codec.encode(export))


def test_receiver_reads_as_many_partitions_as_the_operator_says() -> None:
    settings = Settings(_env_file=None, max_source_partitions=20)  # type: ignore[call-arg]  # pydantic-settings' own

    assert (Limits.of(DEFAULTS).max_source_partitions, Limits.of(settings).max_source_partitions) == (300, 20)
