"""Where a part goes whose file takes nothing any more."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from app.keboola.errors import StorageAccessDenied
from app.model.ledger import BatchRecord, Phase, Slice, StagedFile, Window
from app.sink import uploads as module
from app.sink.observe import Counters
from app.sink.steps import Part
from app.sink.uploads import Uploads

ENDED, FRESH = StagedFile("ended", 0, 10, b""), StagedFile("fresh", 0, 1000, b"")
NOW_MS = 100
RECORD = BatchRecord("e", "b", 1, "t", True, Phase.OPEN, 0, "run", ENDED, slices=(Slice("s", 1, 1, 1),))
PART = Part(Window("b", 1, "t", 0, 1, 5), [b'"x"\n'], 1, 4)


class Exchange:
    """Storage whose file `ended` takes nothing; `made` says how each other file came to be."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.events = SimpleNamespace(tell=lambda *_: None)

    async def open_file(self, *_: object) -> tuple[StagedFile, str]:
        self.made.append("opened")
        return (FRESH if len(self.made) > 1 else ENDED), "run"

    async def copy(self, _export: object, record: BatchRecord) -> StagedFile:
        self.made.append(f"copy of {record.file.file_id}")
        return FRESH

    async def upload(self, _export: object, _revision: int, file: StagedFile, *_: object) -> Slice:
        if file is ENDED:
            raise StorageAccessDenied("no", http_status=403)
        return Slice("new", 1, 4, 4)


@pytest.mark.parametrize(
    ("records", "made"),
    [({"b": RECORD}, ["copy of ended"]), ({}, ["opened", "opened"])],
    ids=["a file that has slices", "a file that has none yet"],
)
async def test_part_goes_to_a_new_file_when_the_credentials_of_its_file_have_ended(
    monkeypatch: pytest.MonkeyPatch, records: dict[str, BatchRecord], made: list[str]
) -> None:
    async def at_once(_: object) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(module.Backoff, "wait", at_once)
    exchange: Any = Exchange()
    mapping = SimpleNamespace(mapping=SimpleNamespace(incremental=True))
    export: Any = SimpleNamespace(receiver_id="r", export_id="e", of_revision=lambda _: mapping)
    uploads = Uploads(exchange, Counters(), lambda: export, lambda: NOW_MS)

    async with asyncio.timeout(60):
        staged = await uploads.stage({"b": PART}, records)

    assert exchange.made == made
    assert staged["b"].file == FRESH
