"""The sink as real processes on a real Kafka, with the Storage emulator: exactly once, whatever happens."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest

from app.api.drafts import Retirement
from app.model.conditions import MIB, Conditions
from app.model.ledger import Phase
from app.model.receiver import SourceOffset

BY_COUNT = Conditions(count=100, size_bytes=50 * MIB, time_seconds=3600)
BY_TIME = Conditions(count=1_000_000, size_bytes=50 * MIB, time_seconds=1)


async def test_rows_and_failures_arrive_by_count_and_by_time(bench: Any) -> None:
    by_count, by_time = await bench.export("count", BY_COUNT), await bench.export("time", BY_TIME)
    await bench.send(
        bench.envelope(by_count, 0, 130, failures=2),
        bench.envelope(by_time, 0, 7, failures=1),
        bench.envelope(by_count, 132, 70),
    )

    bench.start_sink()

    await bench.until_arrived(by_count)
    await bench.until_arrived(by_time)
    assert [batch.count for batch in bench.batches(by_count)] == [100, 100]
    assert [batch.closed_by for batch in bench.batches(by_time)] == ["time"]


async def test_repeats_with_other_cuts_change_nothing(bench: Any) -> None:
    export = await bench.export("repeats", BY_TIME)
    await bench.send(
        bench.envelope(export, 0, 10),
        bench.envelope(export, 0, 4, repeat=True),
        bench.envelope(export, 4, 6, repeat=True),
        bench.envelope(export, 5, 5, failures=3, repeat=True),
    )
    bench.failed["repeats"] = [10, 11, 12]
    await bench.send(bench.envelope(export, 13, 5))

    bench.start_sink()

    await bench.until_arrived(export)


async def test_a_gap_stops_that_export_and_no_other(bench: Any) -> None:
    broken, whole = await bench.export("broken", BY_TIME), await bench.export("whole", BY_TIME)
    await bench.send(bench.envelope(broken, 0, 5))
    await bench.send(bench.envelope(broken, 9, 5, repeat=True), bench.envelope(whole, 0, 5))

    bench.start_sink()

    await bench.until_arrived(whole)
    await bench.until_arrived(broken)
    await bench.until(lambda: (state := bench.state(broken)) is not None and state.stopped, "a ledger that says so")
    assert "4 offsets are missing" in (bench.tmp_path / "sink-0.log").read_text()


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
async def test_a_sink_that_ends_and_starts_again_repeats_nothing(bench: Any, signal_number: int) -> None:
    export = await bench.export("restart", BY_COUNT)
    base = 0
    for _ in range(3):
        process = bench.start_sink()
        for _ in range(4):
            await bench.send(bench.envelope(export, base, 60, failures=1))
            base += 61
        half = base // 2
        await bench.until(lambda half=half: len(bench.rows(export)) >= half, "half of the rows")
        process.send_signal(signal_number)
        process.wait(60)
    bench.start_sink()
    await bench.send(bench.envelope(export, base, -len(bench.sent["restart"]) % 100))

    await bench.until_arrived(export)


async def test_a_frozen_sink_that_wakes_up_does_no_harm(bench: Any) -> None:
    export = await bench.export("zombie", BY_COUNT)
    frozen = bench.start_sink()
    await bench.send(bench.envelope(export, 0, 150))
    await bench.until(lambda: len(bench.rows(export)) >= 100, "the first batch")
    frozen.send_signal(signal.SIGSTOP)
    bench.start_sink()
    await bench.send(bench.envelope(export, 150, 150, failures=2))

    await bench.until_arrived(export)
    frozen.send_signal(signal.SIGCONT)
    await bench.send(bench.envelope(export, 302, 100))

    await bench.until_arrived(export)


async def test_two_sinks_share_the_work_and_one_leaves(bench: Any) -> None:
    export = await bench.export("shared", BY_COUNT)
    processes = [bench.start_sink(), bench.start_sink()]
    for base in range(0, 400, 50):
        await bench.send(bench.envelope(export, base, 50))
    await bench.until(lambda: len(bench.rows(export)) >= 100, "the first batch")
    for process in processes:
        process.terminate()
        bench.start_sink()

    await bench.until_arrived(export)


@pytest.mark.parametrize(
    ("effect", "rule"),
    [
        ("status_after", {"status": 504}),
        ("reset_after", {}),
        ("reset", {}),
        ("late", {"status": 504, "seconds": 4}),
        ("status", {"status": 503}),
    ],
)
async def test_an_import_without_an_answer_is_not_made_twice(bench: Any, effect: str, rule: dict[str, Any]) -> None:
    export = await bench.export("unclear", BY_COUNT)
    bench.storage.fault(effect, method="POST", path=".*/import-async", times=1, **rule)
    await bench.send(bench.envelope(export, 0, 200))

    bench.start_sink()

    await bench.until_arrived(export)
    await bench.until(lambda: all(b.phase is Phase.IMPORTED for b in bench.batches(export)), "batches imported")
    assert [batch.count for batch in bench.batches(export)] == [100, 100]


async def test_a_table_changed_by_hand_fails_its_batch_until_it_is_mended(bench: Any) -> None:
    export = await bench.export("changed", BY_COUNT)
    bench.storage.fault("job_error", method="POST", path="import-async$", code="csvImport.columnsNotMatch", times=2)
    await bench.send(bench.envelope(export, 0, 100))

    bench.start_sink()

    await bench.until(lambda: any(batch.failures for batch in bench.batches(export)), "a failed import")
    await bench.until_arrived(export)


async def test_only_what_the_ledger_covers_is_committed(bench: Any) -> None:
    export = await bench.export("held", Conditions(count=1000, size_bytes=50 * MIB, time_seconds=3600))
    first = bench.start_sink()
    await bench.send(bench.envelope(export, 0, 10, failures=1))
    await bench.until(lambda: len(bench.dead_letters(export)) == 1, "the dead letter")
    first.kill()
    first.wait(60)
    bench.start_sink()
    await bench.send(bench.envelope(export, 0, 10, failures=1, repeat=True), bench.envelope(export, 11, 990))

    await bench.until_arrived(export)


async def test_import_refused_for_its_token_is_tried_again_as_soon_as_there_is_another(bench: Any) -> None:
    bench.environment["retry_first_seconds"] = 3600
    export = await bench.export("refused", Conditions(count=10, size_bytes=50 * MIB, time_seconds=3600))
    bench.storage.fault("status", method="POST", path="import-async", status=401)
    bench.start_sink()
    await bench.send(bench.envelope(export, 0, 10))
    await bench.until(lambda: [batch.phase for batch in bench.batches(export)] == [Phase.FAILED], "the failed import")

    await bench.refresh_token(export)

    await bench.until_arrived(export)


async def test_windows_of_an_earlier_mapping_end_and_control_learns_that_it_is_over(bench: Any) -> None:
    export = await bench.export("changed", Conditions(count=1000, size_bytes=50 * MIB, time_seconds=3600))
    bench.start_sink()
    await bench.send(bench.envelope(export, 0, 10))
    first = replace(export.revision, until=(SourceOffset("topic", 0, 10),))

    await bench.put_export(replace(export, revisions=(first, replace(export.revision, number=2))))

    await bench.until_arrived(export)
    assert [batch.closed_by for batch in bench.batches(export)] == ["mapping"]
    await bench.until(lambda: bench.reports() == [Retirement(export.uid, (1,))], "the report")


async def test_windows_of_a_deleted_export_end_with_its_last_row(bench: Any) -> None:
    export = await bench.export("deleted", Conditions(count=1000, size_bytes=50 * MIB, time_seconds=3600))
    bench.start_sink()
    await bench.put_export(replace(export, drain_to=(SourceOffset("topic", 0, 20),)))
    await bench.send(bench.envelope(export, 0, 10))
    await bench.send(bench.envelope(export, 10, 10))

    await bench.until_arrived(export)
    assert [(batch.closed_by, batch.count) for batch in bench.batches(export)] == [("deletion", 20)]
    await bench.until(lambda: bench.reports() == [Retirement(export.uid, (1,))], "the report")


async def test_control_learns_that_a_deleted_export_of_which_nothing_ever_came_is_over(bench: Any) -> None:
    export = await bench.export("never", Conditions(count=1000, size_bytes=50 * MIB, time_seconds=3600))
    here = (SourceOffset("topic", 0, 20),)
    await bench.put_export(replace(export, starts=here, drain_to=here))

    bench.start_sink()

    await bench.until(lambda: bench.reports() == [Retirement(export.uid, (1,))], "the report")
