"""What lives as long as the process is out of the garbage collector's sight, and young objects may be many."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from app.memory import settle_memory


@pytest.fixture
def collector() -> Iterator[None]:
    """The collector as it was, afterwards."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_what_is_loaded_is_not_looked_at_again() -> None:
    loaded = [[number] for number in range(1000)]

    settle_memory(collect_after_objects=1000)

    assert gc.get_freeze_count() > len(loaded)


@pytest.mark.usefixtures("collector")
def test_garbage_made_later_is_collected() -> None:
    settle_memory(collect_after_objects=1000)
    collected = gc.get_stats()[0]["collections"]

    kept = [[number] for number in range(5000)]

    assert gc.get_stats()[0]["collections"] > collected
    assert len(kept) == 5000
