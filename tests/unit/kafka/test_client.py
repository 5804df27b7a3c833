"""Where records are whose readers look for them by their keys."""

from __future__ import annotations

from app.kafka.client import partition_of_key


def test_partition_of_a_key_never_changes() -> None:
    """Commands of a project, and dead letters of an export, are looked for where earlier versions put them."""
    assert [partition_of_key(key, 4) for key in ("1", "1234", "9000", "1234/clicks/all")] == [3, 3, 0, 2]
