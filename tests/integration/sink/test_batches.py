"""Batches whose import goes on failing: they expire, hold nobody up, and their rows can still be had."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from app.model.conditions import MIB, Conditions
from app.model.event import Reason
from app.model.ledger import Phase
from app.model.receiver import BatchRetry, Export

EVERY_TEN = Conditions(count=10, size_bytes=50 * MIB, time_seconds=3600)
REFUSAL = {"method": "POST", "path": "import-async$", "code": "csvImport.columnsNotMatch"}


@pytest.fixture
def hasty(bench: Any) -> Any:
    """Gives a batch up as soon as it has failed."""
    bench.environment |= {"retry_first_seconds": 3600, "batch_expiry_hours": 1e-6}
    return bench


async def test_expired_batch_has_one_dead_letter_and_the_next_ones_are_imported(hasty: Any) -> None:
    export = await hasty.export("expired", EVERY_TEN)
    hasty.storage.fault("job_error", times=1, **REFUSAL)
    await hasty.send(hasty.envelope(export, 0, 20))
    sink = hasty.start_sink()

    await hasty.until(
        lambda: [batch.phase for batch in hasty.batches(export)] == [Phase.EXPIRED, Phase.IMPORTED],
        "the first batch expired, the second imported",
    )

    first, _ = hasty.batches(export)
    (letter,) = hasty.dead_letters(export)
    assert len(hasty.rows(export)) == 10
    assert "csvImport.columnsNotMatch" in (first.error or "")
    assert letter.event.reason is Reason.BATCH_EXPIRED
    (place,) = json.loads(letter.event.body)["sources"]
    assert (place["first"], place["last"]) == (0, 9)
    assert sink.poll() is None
    assert "needs a person" in (hasty.tmp_path / "sink-0.log").read_text()


async def retry(bench: Any, export: Export) -> None:
    """As control does it when a person asked for the export's first batch."""
    first = bench.batches(export)[0]
    request = BatchRetry(first.batch_id, first.attempt_ms, "task-1")
    await bench.put_export(replace(export, retries=(request,)))


@pytest.mark.parametrize(
    ("phase", "code", "expiry_hours"),
    [
        pytest.param(Phase.EXPIRED, "csvImport.columnsNotMatch", 1e-6, id="expired"),
        pytest.param(Phase.FAILED, "csvImport.columnsNotMatch", 168, id="failed", marks=pytest.mark.long),
        pytest.param(Phase.UNCLEAR, "internalError", 168, id="unclear", marks=pytest.mark.long),
    ],
)
async def test_batch_is_imported_when_a_person_asks(hasty: Any, phase: Phase, code: str, expiry_hours: float) -> None:
    hasty.environment["batch_expiry_hours"] = expiry_hours
    export = await hasty.export("retried", EVERY_TEN)
    hasty.storage.fault("job_error", times=1, **{**REFUSAL, "code": code})
    await hasty.send(hasty.envelope(export, 0, 10))
    hasty.start_sink()
    await hasty.until(lambda: [b.phase for b in hasty.batches(export)] == [phase], f"a batch that is {phase}")

    await retry(hasty, export)

    await hasty.until(lambda: len(hasty.rows(export)) == 10, "the rows of the batch")
    await hasty.until(lambda: hasty.batches(export)[0].phase is Phase.IMPORTED, "the imported batch")
    assert len(hasty.dead_letters(export)) == (phase is Phase.EXPIRED)
