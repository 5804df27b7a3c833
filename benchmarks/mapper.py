"""Events per second through the real mapper process: receiver topic to rows, one mapping child, broker on the same
cores.

    python benchmarks/mapper.py [--events 600000] [--runs 3]

Preloads a topic of 4 partitions with 120-byte bodies as the gateway writes them (lz4, headers `streams.id` and
`streams.ip`), then maps it with the columns `id, datetime, ip, body`, and with a template of two joined lookups
besides. The rate is taken from the broker's times of the first and the last envelope, so that it has no process start
in it. The floor is a bare aiokafka loop that reads the same topic and does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path

from _installation import (
    NAMES,
    PLAIN,
    TOPIC,
    check_alive,
    configure,
    forget_group,
    make_export,
    make_receiver,
    make_settings,
    preload,
    running,
)
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.kafka.codec import rows_codec
from app.kafka.reader import read_to_end
from app.local.kafka import LocalBroker
from app.local.ports import free_port
from app.model.conditions import Conditions
from app.model.ids import new_uid
from app.model.receiver import Column, ColumnType, Mapping, Revision
from app.settings import Settings

TEMPLATE = (*PLAIN, Column("flight", ColumnType.TEMPLATE, template='Body("carrier") + "-" + Body("route.origin")'))


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> tuple[int, list[int]]:
    """A process and its children."""
    return pid, [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def mapper_rate(settings: Settings, rows_partition: int, events: int) -> tuple[float, str]:
    """Run the mapper process until every event is a row; events per second of its steady part, and what it cost."""
    with running("mapper", settings, mapper_port=free_port(), mapping_children=1) as process:
        counted, offset = 0, 0
        first: tuple[int, int] | None = None
        begun: tuple[int, float, float] | None = None
        last = 0
        while counted < events:
            check_alive(process)
            for message in read_to_end(settings, NAMES.rows, rows_partition, offset):
                rows = rows_codec.decode(message.value() or b"")
                assert not rows.failures, rows.failures[0]
                offset, last = (message.offset() or 0) + 1, message.timestamp()[1]
                counted += rows.count
                first = first or (last, counted)
                parent, children = family(process.pid)
                spent = cpu_seconds(parent), sum(map(cpu_seconds, children))
                begun = begun or (counted, *spent)
            time.sleep(0.2)
        assert first is not None
        assert begun is not None
        per_event = [(now - then) / (counted - begun[0]) * 1e6 for now, then in zip(spent, begun[1:], strict=True)]
        rate = (counted - first[1]) / (last - first[0]) * 1000
    forget_group(settings, "mapper")
    return rate, "CPU {:.1f} + {:.1f} µs".format(*per_event)


async def floor_rate(settings: Settings, events: int) -> float:
    """A bare aiokafka loop over the same records, in this process."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(TOPIC, partition) for partition in range(4)])
        counted, begun = 0, time.perf_counter()
        while counted < events:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                counted += len(records)
        return events / (time.perf_counter() - begun)
    finally:
        await consumer.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, LocalBroker(Path(directory)) as broker:
        settings = make_settings(broker)
        topic_id = preload(settings, arguments.events)
        rates: dict[str, list[float]] = {}
        costs: dict[str, str] = {}
        for run in range(arguments.runs):
            floor = asyncio.run(floor_rate(settings, arguments.events))
            rates.setdefault("floor: bare aiokafka loop, nothing mapped", []).append(floor)
            for column, (name, columns) in enumerate(
                {"id, datetime, ip, body": PLAIN, "... and a template of two joined lookups": TEMPLATE}.items()
            ):
                rows_partition = (2 * run + column) % settings.rows_partitions
                revision = Revision(1, Mapping("in.c-bench.flights", columns), "1", b"", 0)
                export = make_export(new_uid(), revision, Conditions(), rows_partition)
                configure(settings, make_receiver(topic_id), export)
                rate, cost = mapper_rate(settings, rows_partition, arguments.events)
                rates.setdefault(f"mapper: {name}", []).append(rate)
                costs[f"mapper: {name}"] = cost
    print(f"{os.cpu_count()} cores, {arguments.events:,} events of 120 bytes, median of {arguments.runs} runs.")
    print("CPU is that of the mapper and of its child, for one event.")
    for name, values in rates.items():
        spread = ", ".join(f"{value:,.0f}" for value in values)
        print(f"{name:<60} {statistics.median(values):>10,.0f} events/s  ({spread})  {costs.get(name, '')}")


if __name__ == "__main__":
    main()
