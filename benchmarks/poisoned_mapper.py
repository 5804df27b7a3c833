"""What one bad export costs the others in the real mapper process: receiver topic to rows, default settings.

    python benchmarks/poisoned_mapper.py [--events 6000000] [--runs 1]

A receiver of 4 partitions has two good exports and a third one that is good, too (the floor), or bad. The rate is that
of one good export from the broker's time of its first envelope to that of its last, so the time in which the mapper
learns that an export is bad is in it. The bad export's events become dead letters, which are written as well, until
control suspends the export (STREAMS_SUSPEND_RESTING_SECONDS).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from _installation import (
    NAMES,
    PLAIN,
    check_alive,
    configure,
    forget_group,
    make_export,
    make_receiver,
    make_settings,
    preload,
    running,
)

from app.kafka.codec import rows_codec
from app.kafka.reader import read_to_end
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.model.conditions import Conditions
from app.model.ids import new_uid
from app.model.receiver import Column, ColumnType, Export, Mapping, Revision
from app.settings import Settings

GOOD = 'local carrier = Body("carrier"); carrier + "-" + Body("route.origin")'
BAD = {
    "floor: no bad export": GOOD,
    "loops for every event": "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)",
    "takes all memory, every event": "std.range(0, 1e9)",
    "infinite recursion, every event": "local f(x) = f(x + 1); f(0)",
    "loops for one event in a hundred": 'if Body("flight") % 100 == 37 then '
    "(local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60)) else Body('carrier')",
}


def export(name: str, template: str, rows_partition: int) -> Export:
    columns = (*PLAIN, Column("t", ColumnType.TEMPLATE, template=template))
    revision = Revision(1, Mapping("in.c-bench.flights", columns), "1", b"", 0)
    return replace(make_export(new_uid(), revision, Conditions(), rows_partition), export_id=name, name=name)


def rate_of_a_good_export(settings: Settings, exports: list[Export], events: int) -> float:
    """Rows a second of the first export while the mapper process maps for all of them."""
    good = exports[0]
    counted, offset, times = 0, 0, list[int]()
    with (
        running("control", settings, control_port=free_port()) as control,
        running("mapper", settings, mapper_port=free_port()) as mapper,
    ):
        while counted < events:
            check_alive(control, mapper)
            for message in read_to_end(settings, NAMES.rows, good.rows_partition, offset):
                offset = (message.offset() or 0) + 1
                rows = rows_codec.decode(message.value() or b"")
                if rows.export_uid == good.uid:
                    assert not rows.failures, rows.failures[0]
                    counted += rows.count
                    times.append(message.timestamp()[1])
            time.sleep(0.5)
    forget_group(settings, "mapper")
    return events / (times[-1] - times[0]) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6_000_000)
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory, LocalBroker(Path(directory)) as broker:
        settings = make_settings(broker)
        receiver = make_receiver(preload(settings, arguments.events))
        for run in range(arguments.runs):
            for number, (name, bad) in enumerate(BAD.items()):
                partition = (run * len(BAD) + number) % (settings.rows_partitions - 1)
                good = [export(f"good-{part}", GOOD, partition) for part in (1, 2)]
                exports = [*good, export("third", bad, settings.rows_partitions - 1)]
                configure(settings, receiver, *exports)
                rates.setdefault(name, []).append(rate_of_a_good_export(settings, exports, arguments.events))
    print(f"{os.cpu_count()} cores, {arguments.events:,} events of 120 bytes, median of {arguments.runs} runs.")
    floor = statistics.median(next(iter(rates.values())))
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"{name:<40} {rate:>10,.0f} events/s of a good export  {rate / floor:6.0%}")


if __name__ == "__main__":
    main()
