"""When it is warned that Kafka will delete what waits for a suspended export."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mapper_world import EXPORT

from app.control.waiting import suspended, warning
from app.model.catalog import Catalog
from app.model.receiver import Suspension

HOUR_MS = 3_600_000
SUSPENDED = replace(EXPORT, suspensions=(Suspension(0, first=(), end=()), Suspension(HOUR_MS, first=())))


def test_only_exports_that_are_suspended_now_are_looked_at() -> None:
    catalog = Catalog()
    catalog.put_export(SUSPENDED)
    catalog.put_export(replace(SUSPENDED, uid="over", export_id="over", suspensions=SUSPENDED.suspensions[:1]))

    assert [export.uid for export in suspended(catalog, lambda project: project == "1")] == ["e"]
    assert suspended(catalog, lambda project: False) == []


@pytest.mark.parametrize(
    ("hours", "said"), [(83, None), (85, "in 83 h Kafka begins to delete"), (170, "some are lost")]
)
def test_warning_comes_at_half_of_the_retention(hours: int, said: str | None) -> None:
    text = warning(SUSPENDED, (1 + hours) * HOUR_MS, retention_hours=168)

    assert text is None if said is None else text is not None and said in text
