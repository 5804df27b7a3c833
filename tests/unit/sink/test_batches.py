"""What an export keeps for its batches, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.model.ledger import BatchRecord, Phase, StagedFile
from app.model.replay import LANE_STEP
from app.sink.batches import Batches

CLOSING = BatchRecord("e", "b1", 1, "t", True, Phase.CLOSING, 0, "run", StagedFile("f", 0, 0, b""))


class Importer:
    """Imports at once."""

    async def import_batch(self, record: BatchRecord, recorded: Callable[[BatchRecord], None]) -> BatchRecord:
        return replace(record, phase=Phase.IMPORTED, finished_ms=1)


async def test_importer_of_a_replay_is_kept_as_long_as_the_replay_has_batches() -> None:
    replayed = replace(CLOSING, batch_id="b2", revision=LANE_STEP + 1)
    make: Any = Importer
    ledger: Any = None
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        batches = Batches("e", "r/e", [CLOSING, replayed], make, ledger, tasks)
        batches.import_next()
        begun = set(batches._importing)
        await asyncio.gather(*batches.running)

        batches.import_next()

    assert begun == {0, 1}
    assert (set(batches._importers), set(batches._importing)) == ({0}, {0})
