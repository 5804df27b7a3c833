"""What an export keeps for its batches, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from app.model.ledger import BatchRecord, Phase, StagedFile
from app.model.replay import LANE_STEP
from app.sink.batches import Batches

CLOSING = BatchRecord("e", "b1", 1, "t", True, Phase.CLOSING, 0, "run", StagedFile("f", 0, 0, b""))


OPEN = replace(CLOSING, phase=Phase.OPEN)


class Importer:
    """Imports at once."""

    async def import_batch(self, record: BatchRecord, recorded: Callable[[BatchRecord], None]) -> BatchRecord:
        return replace(record, phase=Phase.IMPORTED, finished_ms=1)


async def test_importer_of_a_replay_is_kept_as_long_as_the_replay_has_batches() -> None:
    replayed = replace(CLOSING, batch_id="b2", revision=LANE_STEP + 1)
    make: Any = Importer
    ledger: Any = None
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        batches = Batches("e", "r/e", [CLOSING, replayed], make, ledger, tasks)
        batches.import_next()
        begun = set(batches._importing)
        await asyncio.gather(*batches.running)

        batches.import_next()

    assert begun == {0, 1}
    assert (set(batches._importers), set(batches._importing)) == ({0}, {0})


class Patient:
    """Imports when it is told to, and keeps what was begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.goes_on = asyncio.Event()

    async def import_batch(self, record: BatchRecord, recorded: Callable[[BatchRecord], None]) -> BatchRecord:
        self.begun.append(record.batch_id)
        await self.goes_on.wait()
        return replace(record, phase=Phase.IMPORTED, finished_ms=1)


async def imported(*records: BatchRecord) -> tuple[list[str], list[str]]:
    """The batches whose import was begun before one of them ended, and in the end."""
    importer = Patient()
    ledger: Any = None
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        batches = Batches("e", "r/e", records, lambda: cast(Any, importer), ledger, tasks)
        for _ in range(3):
            batches.import_next()
            await asyncio.sleep(0)
        first = list(importer.begun)
        importer.goes_on.set()
        await asyncio.gather(*batches.running)
    return first, importer.begun


async def test_batches_are_imported_one_at_a_time_in_their_order() -> None:
    """Rule 17: by revision, then by age."""
    of_the_next_mapping = replace(CLOSING, batch_id="b0", revision=2)

    first, in_the_end = await imported(of_the_next_mapping, replace(CLOSING, batch_id="b2"), CLOSING)

    assert (first, in_the_end) == (["b1"], ["b1", "b2", "b0"])


async def test_no_batch_of_a_later_mapping_is_imported_while_an_earlier_window_for_its_table_is_open() -> None:
    """Rule 17; into another table it may."""
    later = replace(CLOSING, batch_id="b2", revision=2)

    into_the_same, _ = await imported(OPEN, later)
    into_another, _ = await imported(OPEN, replace(later, table_id="other"))

    assert (into_the_same, into_another) == ([], ["b2"])


async def test_file_ends_30_minutes_before_its_upload_credentials_do() -> None:
    """Rule 18: a slice takes minutes over a slow line, and so do tries that fail."""
    ends_ms = 12 * 3_600_000
    file = replace(OPEN.file, expires_ms=ends_ms)
    ledger: Any = None
    async with asyncio.TaskGroup() as tasks:
        records = [replace(OPEN, file=file), replace(CLOSING, batch_id="b2", file=file)]
        batches = Batches("e", "r/e", records, lambda: cast(Any, None), ledger, tasks)

    assert batches.expiring(ends_ms - 30 * 60_000) == []
    assert batches.expiring(ends_ms - 30 * 60_000 + 1) == ["b1"]
