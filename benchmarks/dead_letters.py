"""A page of dead letters that lies below 100,000 letters of another export, in the same partition.

    python benchmarks/dead_letters.py [--letters 100000] [--body 100] [--runs 5]

Time is that of one call of the reader, its consumer included, as a gateway makes it in a thread; beside it, in the same
rounds, the floor: a consumer that reads the partition forwards and looks at nothing. Memory is that of this process
before and after as many such calls, made first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from _installation import make_export, make_settings

from app.kafka.client import connect_admin
from app.kafka.dead_letters import DeadLetterReader, Selection
from app.kafka.names import Names
from app.kafka.plan import create_topics, system_topics
from app.kafka.reader import read_to_end
from app.kafka.transaction import TransactionalWriter
from app.local.kafka import LocalBroker
from app.model.conditions import Conditions
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.receiver import LIVE_LANE, Export, Mapping, Revision
from app.model.rows import FailedEvent, Source
from app.settings import Settings
from app.sink.clock import BrokerClock
from app.sink.ledger import Ledger

OWN = 5
AT_ONCE = 1000


def letter(export: Export, offset: int, body: bytes) -> DeadLetter:
    event = FailedEvent(offset, Reason.TEMPLATE_ERROR, "page", "no", "topic", 0, f"id-{offset}", "", [], body)
    return DeadLetter("1", "r", export.export_id, export.uid, 1, Source("id", 0, LIVE_LANE), event, 0)


def fill(settings: Settings, own: Export, other: Export, letters: int, body: bytes) -> None:
    """The own letters, then those of the other export, as the sink publishes them."""
    ledger, writer = Ledger(settings, 0, BrokerClock()), TransactionalWriter(settings, "bench-letters")
    writer.start()
    writer.write([ledger.dead_letter(letter(own, number, body)) for number in range(OWN)])
    for first in range(0, letters, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, letters))
        writer.write([ledger.dead_letter(letter(other, number, body)) for number in numbers])
    writer.close()
    ledger.close()


def seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def memory() -> float:
    """Resident, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    arguments = argparse.ArgumentParser(description="A page of dead letters below many of another export.")
    arguments.add_argument("--letters", type=int, default=100_000)
    arguments.add_argument("--body", type=int, default=100)
    arguments.add_argument("--runs", type=int, default=5)
    options = arguments.parse_args()
    revision = Revision(1, Mapping("in.c-bench.t", ()), "1", b"", 0)
    own, other = (
        replace(make_export(name, revision, Conditions(), 0), project_id="1", receiver_id="r", export_id=name)
        for name in ("own", "other")
    )
    floors, below, top = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder, LocalBroker(Path(folder) / "kafka") as broker:
        settings = make_settings(broker).model_copy(
            update={"dead_letter_partitions": 1, "dead_letter_read_records": options.letters * 2}
        )
        create_topics(connect_admin(settings), system_topics(settings))
        fill(settings, own, other, options.letters, b"x" * options.body)
        reader, topic = DeadLetterReader(settings), Names(settings.topic_prefix).dead_letters
        before = memory()
        for _ in range(options.runs):
            reader.page(own, Selection(100))
        after = memory()
        for _ in range(options.runs):
            floors.append(seconds(lambda: sum(1 for _ in read_to_end(settings, topic, 0))))
            below.append(seconds(lambda: reader.page(own, Selection(100))))
            top.append(seconds(lambda: reader.page(other, Selection(100))))
        assert len(reader.page(own, Selection(100)).letters) == OWN
    for name, times in (("floor: read forwards", floors), ("page below all", below), ("page on top", top)):
        print(f"{name:<24}{statistics.median(times):>8.3f} s (worst {max(times):.3f} s)")
    print(f"memory {before:.0f} MB before, {after:.0f} MB after")


if __name__ == "__main__":
    main()
