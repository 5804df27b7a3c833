"""What counts against a receiver's quota, and what a sender is told when it is used up."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.gateway import quota as quotas
from app.gateway.answers import human_size
from app.gateway.quota import Quota, backlog_bytes
from app.kafka import progress as following
from app.kafka.codec import batch_codec, state_codec
from app.kafka.progress import ExportProgress, LedgerProgress
from app.model.conditions import MIB, Conditions
from app.model.ledger import BatchRecord, ExportState, Mark, Phase, Slice, StagedFile
from app.model.receiver import LIVE_LANE, Column, ColumnType, Export, Mapping, Revision, SourceOffset
from app.model.replay import LANE_STEP
from app.model.rows import Source
from app.settings import Settings

from .lane_stage import Stage, post

REVISION = Revision(1, Mapping("in.c-b.t", (Column("id", ColumnType.ID),)), "1", b"", 0)
EXPORT = Export("e", "r", "1", "flights", "all", "all", Conditions(), 0, (), (REVISION,), 0)
BATCH = BatchRecord("e", "b1", 1, "in.c-b.t", True, Phase.OPEN, 0, "7", StagedFile("9", 0, 0, b""))


def batch(phase: Phase, csv_bytes: int = 1000, batch_id: str = "b1") -> BatchRecord:
    return replace(BATCH, batch_id=batch_id, phase=phase, slices=(Slice("s", 10, csv_bytes, 100),))


def state(*marks: tuple[str, int, str, int]) -> ExportState:
    return ExportState("e", marks=tuple(Mark(Source(t, p, lane), offset) for t, p, lane, offset in marks))


def test_events_after_the_marks_count_at_the_size_of_the_exports_rows() -> None:
    progress = ExportProgress()
    progress.take_state(state(("t", 0, LIVE_LANE, 40), ("t", 0, "replay", 99), ("old", 0, LIVE_LANE, 99)))
    progress.take_batch(batch(Phase.IMPORTED))

    used = backlog_bytes([(EXPORT, progress)], "t", {0: 50, 1: 3}, event_bytes=7)

    assert used == (10 + 3) * 100


def test_event_counts_once_for_each_export_and_from_where_that_begins() -> None:
    late = replace(EXPORT, uid="late", starts=(SourceOffset("t", 0, 45),))

    used = backlog_bytes([(EXPORT, ExportProgress()), (late, ExportProgress())], "t", {0: 50}, event_bytes=7)

    assert used == (50 + 5) * 7


@pytest.mark.parametrize("phase", Phase)
def test_staged_batch_counts_until_it_is_in_the_table_or_waits_for_a_person(phase: Phase) -> None:
    progress = ExportProgress()
    progress.take_batch(batch(Phase.OPEN, 300))
    progress.take_batch(batch(Phase.OPEN, 500, "b2"))

    progress.take_batch(batch(phase, 1000))

    at_an_end = phase in (Phase.IMPORTED, Phase.UNCLEAR, Phase.EXPIRED)
    assert progress.waiting_bytes == (0 if at_an_end else 1000) + 500


def test_ended_export_and_forgotten_batch_count_nothing() -> None:
    progress = LedgerProgress(Settings(_env_file=None))  # type: ignore[call-arg]  # pydantic-settings' own argument
    progress.take(b"e", state_codec.encode(state(("t", 0, LIVE_LANE, 40))))
    progress.take(b"e/b1", batch_codec.encode(batch(Phase.OPEN)))
    progress.take(b"e/b2", batch_codec.encode(batch(Phase.CLOSING, batch_id="b2")))
    progress.take(b"owner", None)

    progress.take(b"e/b1", None)
    forgotten = progress.of("e").waiting_bytes
    progress.take(b"e", None)

    assert forgotten == 1000
    assert progress.of("e") == ExportProgress()


def test_what_an_export_that_is_stopped_has_not_staged_counts_nothing() -> None:
    progress = ExportProgress()
    progress.take_state(replace(state(("t", 0, LIVE_LANE, 40)), stopped=True))
    progress.take_batch(batch(Phase.CLOSING, 300))

    used = backlog_bytes([(EXPORT, progress)], "t", {0: 50}, event_bytes=7)

    assert used == 300


def test_batches_of_replays_count_nothing() -> None:
    progress = ExportProgress()

    progress.take_batch(replace(batch(Phase.CLOSING), revision=LANE_STEP + 1))

    assert (progress.waiting_bytes, progress.row_bytes) == (0, None)


class Ledger:
    """A consumer of a ledger with two partitions, that is away when it is asked for the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def list_topics(self, topic: str, _seconds: float) -> SimpleNamespace:
        self.asked += 1
        if self.asked == 1:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None, 1: None})})


def test_ledger_has_as_many_partitions_as_kafka_says_whatever_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "_AGAIN_SECONDS", 0)
    progress = LedgerProgress(Settings(_env_file=None, rows_partitions=12))  # type: ignore[call-arg]  # pydantic-settings' own argument
    kafka: Any = Ledger()

    found = progress._partitions(kafka, "streams.ledger")

    assert found == {0, 1}


async def test_figures_are_asked_for_again_whatever_went_wrong(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    again, looks = asyncio.Event(), 0

    class Followed:
        complete = True

        def __init__(self, _settings: Settings) -> None: ...
        def start(self) -> None: ...
        def close(self) -> None: ...

    async def look(*_: object) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("unforeseen")
        again.set()

    async def connect(_: Quota) -> None:
        return

    monkeypatch.setattr(quotas, "LedgerProgress", Followed)
    monkeypatch.setattr(Quota, "_connect", connect)
    monkeypatch.setattr(Quota, "_look", look)
    nothing: Any = None
    quota = Quota(Settings(_env_file=None, quota_check_seconds=0.01), nothing, nothing)  # type: ignore[call-arg]  # pydantic-settings' own argument
    following_it = asyncio.create_task(quota.follow())

    async with asyncio.timeout(60):
        await again.wait()
    following_it.cancel()
    await asyncio.gather(following_it, return_exceptions=True)

    assert "quota: ValueError: unforeseen; the last known figures count" in caplog.text


async def test_sender_of_a_receiver_that_has_used_up_its_quota_is_told_so(stage: Stage) -> None:
    stage.lane.quota_bytes = MIB
    stage.lane.directory.usage("uid-flights").exports = 2
    first, second = stage.connect(), stage.connect()
    first.feed(post(b"x" * 600_000))
    stage.publisher.report()

    second.feed(post(b"{}"))

    assert [first.statuses, second.statuses] == [[200], [507]]
    head, _, body = second.transport.written.partition(b"\r\n\r\n")
    assert b"retry-after: 2" in head
    assert json.loads(body)["error"] == "buffer.insufficientStorage"
    assert json.loads(body)["message"] == (
        'No free space in the buffer: receiver "flights" has "1.1 MB" buffered for upload, limit is "1.0 MB".'
    )
    assert stage.lane.inflight_bytes == 0


async def test_without_a_quota_nothing_is_counted(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(b"x" * 600_000))
    stage.publisher.report()

    assert connection.statuses == [200]
    assert stage.lane.directory.usage("uid-flights").bytes == 0


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (204_902, "200.1 KB"), (100 * MIB, "100.0 MB")],
)
def test_sizes_read_as_the_reference_writes_them(size_bytes: int, text: str) -> None:
    assert human_size(size_bytes) == text
