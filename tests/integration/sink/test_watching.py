"""What the sink shows of an export that Storage takes nothing of, to who watches it."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from trace_receiver import Traces, facts, receiving

from app.local.ports import free_port
from app.model.cipher import Cipher
from app.model.conditions import MIB, Conditions

DAY_SECONDS = 86_400
HOURLY = Conditions(count=10, size_bytes=50 * MIB, time_seconds=3600)


def answer(port: int, path: str) -> str | None:
    """What a sink says with 200; None for anything else."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as given:
            return str(given.read().decode())
    except (urllib.error.URLError, OSError):
        return None


def samples(port: int) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels."""
    families = text_string_to_metric_families(answer(port, "/metrics") or "")
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    """What the processes of this test are told to trace to."""
    with receiving() as collector:
        for name, value in collector.environment.items():
            monkeypatch.setenv(name, value)
        yield collector


async def test_parked_export_is_named_and_the_time_that_retention_leaves_it(bench: Any, traces: Traces) -> None:
    port = free_port()
    bench.environment |= {"park_after_seconds": 0.3, "park_seconds": 600, "watch_seconds": 0.3}
    sick, well = await bench.export("sick", HOURLY), await bench.export("well", HOURLY)
    encrypted = Cipher(bench.settings.encryption_key).encrypt("1234-1-revoked")
    await bench.put_export(replace(sick, revisions=(replace(sick.revision, token=encrypted),)))
    bench.start_sink(port=port)
    await bench.send(bench.envelope(sick, 0, 13), bench.envelope(well, 0, 15))
    await bench.until(lambda: answer(port, "/ready") == "OK", "a ready sink")

    def left() -> float:
        return samples(port).get(("streams_retention_left_seconds", "parked"), float("inf"))

    shown = {
        ("streams_sink_import_seconds_count",): 1,
        ("streams_sink_parked",): 1,
        ("streams_sink_export_trouble", "1234/r/sick", "parked"): 1,
        ("streams_sink_windows",): 1,
        ("streams_sink_catch_up_lag_records",): 2,
        ("streams_sink_batches", "failed"): 0,
        ("streams_consumer_partitions",): 2,
        ("streams_ready",): 1,
    }
    await bench.until(lambda: left() < 8 * DAY_SECONDS, "the time that is left")
    await bench.until(lambda: shown.items() <= samples(port).items(), f"{shown}")

    assert left() > 8 * DAY_SECONDS - 600
    assert 0 < samples(port)["streams_sink_oldest_window_seconds",] < 600
    await bench.until(lambda: traces.spans("sink.import") != [], "a span of the import")
    (span,) = traces.spans("sink.import")
    assert facts(span)["streams.export"] == "r/well"
    assert facts(span)["streams.rows"] == 10
    assert "r/well" in {facts(staged)["streams.export"] for staged in traces.spans("sink.stage")}
