"""A short chaos run. `make chaos` makes long ones; this one says how to run its seed again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from chaos.__main__ import summary
from chaos.plan import SHORT
from chaos.run import Options, run

SEED = int(os.environ.get("CHAOS_SEED", "7"))
SECONDS = 20.0
EVENTS_PER_SECOND, KAFKA_EVENTS_PER_SECOND = 40.0, 15.0


async def test_every_event_is_in_exactly_one_place_after_chaos(tmp_path: Path) -> None:
    lines: list[str] = []

    report = await run(
        Options(
            SEED,
            SECONDS,
            tmp_path,
            SHORT,
            events_per_second=EVENTS_PER_SECOND,
            kafka_events_per_second=KAFKA_EVENTS_PER_SECOND,
        ),
        lines.append,
    )

    sys.stderr.write("\n".join([*lines, *summary(report)]))
    assert report.problems == [], (
        f"CHAOS_SEED={SEED} pytest tests/chaos/test_chaos.py runs it again; the processes' logs are in {tmp_path}"
    )
