"""Kafka Connect sinks from a topic of 50,000 records to a table: every record is a row or a dead letter of its sink."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from connect_traffic import Source, make_topic, numbers_in
from connect_worker import JARS, SINK_JAR, ConnectWorker, committed
from connector_keys import table
from unreliable_gateway import Reply, Request, UnreliableGateway

from app.model.connect import Destination, SinkKind, SinkRoute, sink_config

pytestmark = pytest.mark.long

RECORDS, PARTITIONS = 50_000, 4
POISON = {4_321, 40_002}
FAILURES = {5: Reply(429, {"Retry-After": "1"}), 9: Reply(503), 12: Reply(503, after=True)}
SILENT_SECONDS = 30
STANDALONE = 0
THROUGH_SECONDS = 1_200
COLUMNS = [{"name": "id", "type": "id", "primaryKey": True}, {"name": "body", "type": "body"}]
SHORTER = {
    SinkKind.DATA_STREAMS: {"http.request.timeout.ms": "5000", "consumer.override.max.poll.interval.ms": "25000"},
    SinkKind.CAMEL: {"camel.error.handler.max.redeliveries": "60", "camel.error.handler.redelivery.delay": "1000"},
    SinkKind.CLESCOT: {"retry.policy.retry.max.delay.in.ms": "5000"},
}
"""The shipped configurations as they are, but for how long a record that is refused holds up the others, and for a poll
interval that is shorter than the silence.
"""
SAME_IDS = {SinkKind.DATA_STREAMS, SinkKind.CLESCOT}
"""Kinds that name each record's place, so that a record sent again has the same id."""


def plugins(kind: SinkKind) -> list[Path]:
    if kind is SinkKind.DATA_STREAMS:
        return [SINK_JAR]
    return [JARS / kind]


@pytest.mark.parametrize(
    ("kind", "workers"),
    [
        (SinkKind.DATA_STREAMS, STANDALONE),
        (SinkKind.DATA_STREAMS, 1),
        (SinkKind.DATA_STREAMS, 2),
        (SinkKind.CAMEL, STANDALONE),
        (SinkKind.CLESCOT, STANDALONE),
    ],
)
async def test_every_record_is_a_row_or_a_dead_letter(
    system: Any, topic_prefix: str, tmp_path: Path, kind: SinkKind, workers: int
) -> None:
    """The one of two distributed workers that is killed is not started again: the other one takes over."""
    await system.ready()
    bucket = f"in.c-{topic_prefix}"
    export = {
        "id": "all",
        "name": "All",
        "mapping": {"tableId": f"{bucket}.orders", "columns": COLUMNS},
        "conditions": {"count": 20_000, "size": "50MB", "time": "2s"},
    }
    receiver = await system.create_receiver({"id": "orders", "name": "Orders", "exports": [export]})
    path = receiver["url"].removeprefix(system.url)
    source = Source(system.settings, f"{topic_prefix}-orders", PARTITIONS, RECORDS)
    await asyncio.to_thread(source.fill)
    name, dead = f"{topic_prefix}-sink", f"{topic_prefix}-dead"
    make_topic(system.settings, dead, 1)
    # About so many requests there are, so the worker is killed and the gateway falls silent in the midst of them.
    requests = RECORDS // 500 if kind is SinkKind.DATA_STREAMS else RECORDS
    killed_at, silent_at = requests // 3, requests * 2 // 3
    half = threading.Event()

    with UnreliableGateway(("127.0.0.1", system.settings.gateway_port)) as between:

        def plan(request: Request) -> Reply | None:
            if request.number == killed_at:
                between.fall_silent()
                half.set()
            if request.number == silent_at:
                between.fall_silent()
                threading.Timer(SILENT_SECONDS, between.speak).start()
            failure = FAILURES.get(request.number)
            if any(b'{"n": %d}' % number in request.body for number in POISON):
                return Reply(413) if failure is None else replace(failure, after=False)
            return failure

        between.plan = plan
        route = SinkRoute(name, (source.topic,), Destination(between.url(path)), dead, replication_factor=1, tasks=2)
        config = sink_config(kind, route) | SHORTER[kind]
        with ExitStack() as running:
            worker = running.enter_context(worker_of(system, tmp_path / "worker", kind, workers))
            second = worker
            if workers == 2:
                second = running.enter_context(worker_of(system, tmp_path / "second", kind, workers, worker.group))
            worker.put(name, config)
            await until(system, half.is_set, "the first half")
            worker.kill_and_expel(system.settings, name)
            between.speak()
            if second is worker:
                worker.start()
                worker.put(name, config)
            await until(system, lambda: committed(system.settings, name) == source.end, "all to be committed")
            await until(system, lambda: set(second.states(name)) == {"RUNNING"}, "tasks that run")
            assert "poll timeout has expired" not in second.log, "the silence cost a task its partitions"

    assert {429, 503, 413, 200} <= set(between.answered)
    given_up = set(numbers_in(system.settings, dead))
    assert given_up >= POISON
    if kind is SinkKind.DATA_STREAMS:
        assert given_up == POISON
    rows = Counter[int]()

    def all_in_the_table() -> bool:
        rows.clear()
        rows.update(numbers_in_table(system, bucket))
        return set(rows) | given_up == set(range(RECORDS))

    await until(system, all_in_the_table, "every record in the table")
    assert POISON.isdisjoint(rows)
    if kind in SAME_IDS:
        assert [number for number, count in rows.items() if count > 1] == []


@pytest.mark.parametrize("kind", [SinkKind.CAMEL, SinkKind.CLESCOT])
def test_shipped_configuration_is_valid_and_has_only_names_that_the_plugin_reads(
    kafka: str, tmp_path: Path, kind: SinkKind
) -> None:
    config = sink_config(
        kind, SinkRoute("sink", ("orders",), Destination("http://127.0.0.1:1/"), "dead", replication_factor=1)
    )

    with ConnectWorker(kafka, tmp_path / "worker", plugins(kind)) as worker:
        found = worker.validate(config)

    assert {name: errors for name, errors in found.items() if errors} == {}
    assert set(config) - set(found) == set(config) & set(table(kind)["unlisted"])


def worker_of(system: Any, folder: Path, kind: SinkKind, workers: int, group: str | None = None) -> ConnectWorker:
    """Started when it is entered; distributed ones of a group share the work."""
    return ConnectWorker(system.kafka, folder, plugins(kind), distributed=workers != STANDALONE, group=group)


async def until(system: Any, condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return await asyncio.to_thread(condition)

    await system.until(holds, what, THROUGH_SECONDS)


def numbers_in_table(system: Any, bucket: str) -> list[int]:
    try:
        return [json.loads(body)["n"] for (body,) in system.storage.sql(f'select body from "{bucket}".orders')]
    except ValueError:  # there is no table yet
        return []
