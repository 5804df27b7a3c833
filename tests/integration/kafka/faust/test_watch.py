"""What a process knows of its consumer, from a real group: lag, time left, readiness; one that is stuck ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from app.kafka.names import Names

Cluster = Any  # of conftest.py, as is WorkerProcess
WorkerProcess = Any
Start = Callable[..., WorkerProcess]
DAY_SECONDS = 86_400


@pytest.fixture
def cluster_with_log(cluster: Cluster) -> Cluster:
    """With the control log, which every look asks for."""
    cluster.create("control", 1)
    assert Names(cluster.prefix).control == f"{cluster.prefix}.control"
    return cluster


def look(worker: WorkerProcess) -> dict[str, Any]:
    worker.order("look")
    return worker.told("look")[-1]


def keep_for(cluster: Cluster, topic: str, seconds: int) -> None:
    entry = ConfigEntry("retention.ms", str(1000 * seconds), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for answer in cluster.admin.incremental_alter_configs([resource]).values():
        answer.result(60)


def test_lag_and_time_left_are_those_of_what_is_not_done(cluster_with_log: Cluster, start: Start) -> None:
    cluster = cluster_with_log
    topic = cluster.create("events")
    keep_for(cluster, topic, DAY_SECONDS)
    worker = start([topic])
    worker.wait_for(lambda: worker.told("assigned"), "assignment")
    cluster.produce(topic, 3, partitions=1)
    worker.wait_for(lambda: len(worker.offsets(topic, 0)) == 3, "the first records")
    worker.order("commit_now")
    before = look(worker)
    worker.order("done", False)
    cluster.produce(topic, 10, partitions=1)
    worker.wait_for(lambda: len(worker.offsets(topic, 0)) == 13, "all records")

    after = look(worker)

    assert before["lags"] == {"0": [0, math.inf], "1": [0, math.inf]}
    assert before["why_not_ready"] is None
    assert before["oldest"] == {"0": None, "1": None}
    assert after["oldest"]["0"] is not None
    assert after["lags"]["1"] == [0, math.inf]
    records, left_seconds = after["lags"]["0"]
    assert records == 10
    assert DAY_SECONDS - 60 < left_seconds <= DAY_SECONDS


def test_partition_all_of_whose_records_are_deleted_has_no_lag(cluster_with_log: Cluster, start: Start) -> None:
    cluster = cluster_with_log
    topic = cluster.create("events", 1)
    cluster.produce(topic, 10, partitions=1)
    for answer in cluster.admin.delete_records([TopicPartition(topic, 0, 10)]).values():
        answer.result(60)
    worker = start([topic])
    worker.wait_for(lambda: worker.told("assigned"), "assignment")

    first, second = look(worker), look(worker)

    assert first["lags"] == {"0": [10, math.inf]}  # seen to be nothing when it is looked at again
    assert second["lags"] == {"0": [0, math.inf]}


def test_held_partition_tells_the_time_that_is_left_and_is_not_stuck(cluster_with_log: Cluster, start: Start) -> None:
    cluster = cluster_with_log
    topic = cluster.create("events", 1)
    keep_for(cluster, topic, DAY_SECONDS)
    worker = start([topic])
    worker.wait_for(lambda: worker.told("assigned"), "assignment")
    worker.order("hold", [topic, 0])
    cluster.produce(topic, 10, partitions=1)

    looks = [look(worker) for _ in range(3)]

    records, left_seconds = looks[-1]["lags"]["0"]
    assert records == 10
    assert DAY_SECONDS - 60 < left_seconds <= DAY_SECONDS
    assert [seen["still"] for seen in looks] == [0, 0, 0]


def test_worker_whose_partition_does_not_move_is_ended_by_the_watchdog(cluster_with_log: Cluster, start: Start) -> None:
    cluster = cluster_with_log
    topic = cluster.create("events", 1)
    worker = start([topic], watched=True, others={"watch_seconds": 0.3, "stuck_seconds": 1})
    worker.wait_for(lambda: worker.told("assigned"), "assignment")
    worker.order("done", False)

    cluster.produce(topic, 10, partitions=1)

    assert worker.ended() == 70
    assert "a partition has not moved for 1 s although records wait; ending the process" in worker.errors
