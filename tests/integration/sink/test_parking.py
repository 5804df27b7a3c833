"""An export that cannot stage lets go of memory and offsets, the others go on, and it catches up exactly once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.model.cipher import Cipher
from app.model.conditions import MIB, Conditions
from app.model.receiver import Export

EVERY_TEN = Conditions(count=10, size_bytes=50 * MIB, time_seconds=3600)


@pytest.fixture
def quick(bench: Any) -> Any:
    bench.environment |= {"park_after_seconds": 0.3, "park_seconds": 0.5, "park_cap_seconds": 1}
    return bench


def with_token(bench: Any, export: Export, token: str) -> Export:
    (revision,) = export.revisions
    encrypted = Cipher(bench.settings.encryption_key).encrypt(token)
    return replace(export, revisions=(replace(revision, token=encrypted),))


async def is_parked(bench: Any, export: Export) -> None:
    await bench.until(lambda: (state := bench.state(export)) is not None and state.parked, "a parked export")


@pytest.mark.parametrize(
    "killed",
    [pytest.param(False, id="the sink lives on", marks=pytest.mark.long), pytest.param(True, id="the sink is killed")],
)
async def test_parked_export_holds_nobody_and_catches_up(quick: Any, killed: bool) -> None:
    sick, well = await quick.export("sick", EVERY_TEN), await quick.export("well", EVERY_TEN)
    await quick.put_export(with_token(quick, sick, "1234-1-revoked"))
    sink = quick.start_sink()
    await quick.send(quick.envelope(sick, 0, 13, failures=1), quick.envelope(well, 0, 10))
    await is_parked(quick, sick)
    await quick.send(quick.envelope(sick, 14, 7, failures=1), quick.envelope(well, 10, 10))
    await quick.until_arrived(well)
    await quick.until(lambda: quick.committed(1) == 4, "a commit behind all that was sent")
    if killed:
        sink.kill()
        sink.wait(60)
        quick.start_sink()

    await quick.put_export(sick)
    await quick.send(quick.envelope(sick, 22, 10))

    await quick.until_arrived(sick)
    await quick.until(
        lambda: (state := quick.state(sick)) is not None and not state.parked, "an export that is not parked any more"
    )
    assert len(quick.rows(sick)) == 30
