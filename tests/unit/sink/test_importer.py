"""What a look-up for jobs is worth (delivery protocol, rule 14)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.keboola.answers import Job, JobStatus
from app.model.conditions import Conditions
from app.model.ledger import Attempt, BatchRecord, Phase, StagedFile
from app.model.receiver import Export, Mapping, Revision
from app.model.replay import with_replays
from app.settings import Settings
from app.sink import importer
from app.sink.clock import BrokerClock
from app.sink.exchange import Exchange
from app.sink.importer import Importer
from app.sink.observe import Counters
from app.sink.slots import ImportSlot, ImportSlots

SETTINGS = Settings(_env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own argument
EXPORT = Export("e", "r", "1", "a", "e", "e", Conditions(), 0, (), (Revision(1, Mapping("t", ()), "1", b"", 0),), 0)
BEGUN_MS = 1_700_000_000_000
DONE = BatchRecord("e", "b1", 1, "t", True, Phase.IMPORTING, 0, "run-1", StagedFile("7", BEGUN_MS, 0, b""))
KNOWN = replace(DONE, attempts=(Attempt("7", 1, job_id="1"),))
"""Its import is job 1, which Storage shows as finished."""
UNCLEAR = replace(
    DONE,
    batch_id="b2",
    file=StagedFile("8", BEGUN_MS, 0, b""),
    next_file=StagedFile("9", BEGUN_MS, 0, b""),
    attempts=(Attempt("8", 1),),
)
"""The POST of its first file had no answer; its slices are in a second file."""


def job(number: int, file: int) -> Job:
    nothing: Any = None
    created = datetime.fromtimestamp(BEGUN_MS / 1000 + number, UTC)
    job = (number, JobStatus.SUCCESS, "tableImport", "t", file, f"run-{number}", created)
    return Job(*job, nothing, nothing, nothing, nothing, {})


@dataclass
class Storage:
    """What Storage is asked for and answers; `lists` are the jobs that it shows one time after the other."""

    lists: list[tuple[Job, ...]]
    posted: list[str] = field(default_factory=list)

    @property
    def events(self) -> Storage:
        return self

    def tell(self, *_: object) -> None:
        """The events of a batch in Storage are of no interest."""

    def import_slot(self, export: Export, record: BatchRecord) -> ImportSlot:
        return ImportSlots(1).slot(export.project_id, record.table_id, lambda: asyncio.sleep(0, 1))

    async def delete_file(self, _export: object, _record: BatchRecord) -> None: ...

    async def find_jobs(self, *_: object) -> tuple[Job, ...]:
        return self.lists.pop(0)

    async def post_import(self, _export: object, record: BatchRecord) -> str:
        self.posted.append(record.file.file_id)
        return "3"

    async def job(self, _export: object, record: BatchRecord) -> Job:
        attempt = record.attempts[-1]
        return job(int(attempt.job_id or 0), int(attempt.file_id))


class Ledger:
    """Takes everything that is written."""

    def batch(self, record: BatchRecord) -> BatchRecord:
        return record

    async def write(self, _records: object) -> None: ...


async def test_list_that_does_not_show_a_known_job_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file is deleted, and the list is empty once: the second must not be posted, for job 2 is under way."""
    monkeypatch.setattr(importer.Backoff, "wait", lambda _: asyncio.sleep(0))
    storage = Storage([(), (job(1, 7), job(2, 8))])
    clock = BrokerClock()
    clock.saw(BEGUN_MS)
    export = with_replays(EXPORT, ())
    parts: tuple[Any, ...] = (SETTINGS, storage, Ledger(), clock, Counters(), lambda: export)
    made = Importer(*parts)
    await made.import_batch(KNOWN, lambda _: None)

    record = await made.import_batch(UNCLEAR, lambda _: None)

    assert storage.posted == []
    assert (record.phase, record.attempts[-1].job_id) == (Phase.IMPORTED, "2")


@pytest.mark.parametrize(("witness", "since_s"), [(None, 0), (job(-5, 7), -5), (job(5, 7), 0)])
async def test_jobs_are_looked_for_from_the_files_creation_by_storages_clock(
    monkeypatch: pytest.MonkeyPatch, witness: Job | None, since_s: int
) -> None:
    """Or from that of the job that must show, where it is older."""
    asked: list[dict[str, Any]] = []

    class Client:
        def find_jobs(self, **wanted: Any) -> tuple[Job, ...]:
            asked.append(wanted)
            return ()

    @contextmanager
    def client(*_: object) -> Iterator[Client]:
        yield Client()

    nothing: Any = None
    exchange = Exchange(SETTINGS, nothing)
    monkeypatch.setattr(exchange, "_client", client)
    try:
        await exchange.find_jobs(EXPORT, UNCLEAR, witness)
    finally:
        exchange.close()

    assert asked[0]["since"] == datetime.fromtimestamp(BEGUN_MS / 1000 + since_s, UTC)
    assert asked[0]["file_id"] == 8
