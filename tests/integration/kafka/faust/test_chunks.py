"""The chunk transport on a real broker: nothing skipped, nothing committed that is not done."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

Cluster = Any  # of conftest.py, as is WorkerProcess
WorkerProcess = Any
Start = Callable[..., WorkerProcess]


def assert_no_holes(worker: WorkerProcess) -> None:
    """Chunks of one partition and generation follow on each other, and speak for their records."""
    by_lease = defaultdict(list)
    for chunk in worker.told("chunk"):
        by_lease[chunk["topic"], chunk["partition"], chunk["generation"]].append(chunk)
    for chunks in by_lease.values():
        assert all(one["end"] == other["base"] for one, other in pairwise(chunks))
        assert all(c["base"] <= offset < c["end"] for c in chunks for offset in c["offsets"])


def share_of(worker: WorkerProcess) -> list[dict[str, Any]]:
    """The chunks since its last assignment, if that is one partition."""
    assigned = worker.told("assigned")
    if not assigned or len(assigned[-1]["partitions"]) != 1:
        return []
    return [chunk for chunk in worker.told("chunk") if chunk["generation"] == assigned[-1]["generation"]]


def test_chunks_have_every_record_once_in_every_compression(cluster: Cluster, start: Start) -> None:
    topics = [cluster.create(codec) for codec in ("none", "gzip", "snappy", "lz4", "zstd")]
    for topic in topics:
        cluster.produce(topic, 1000, **{"compression.type": topic.rpartition(".")[2]})

    worker = start(topics)
    worker.wait_for(lambda: sum(len(c["offsets"]) for c in worker.told("chunk")) >= 5000, "all records")

    assert all(worker.offsets(topic, partition) == list(range(500)) for topic in topics for partition in (0, 1))
    assert max(len(chunk["offsets"]) for chunk in worker.told("chunk")) <= 100
    assert_no_holes(worker)


def test_chunk_ends_near_its_bound_of_bytes(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "compression.type": "lz4", "linger.ms": 100})
    for _ in range(1000):
        producer.produce(topic, "x" * 1000)
    producer.flush(60)

    worker = start([topic], chunk_records=1000, chunk_bytes=250_000)
    worker.wait_for(lambda: len(worker.offsets(topic, 0)) >= 1000, "all records")

    assert max(chunk["size"] for chunk in worker.told("chunk")) <= 250_000 + 100 * 1000


def test_chunk_of_large_records_passes_its_bound_by_as_much_again_at_most(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "compression.type": "lz4", "linger.ms": 100})
    for _ in range(40):
        producer.produce(topic, "x" * 100_000)
    producer.flush(60)

    worker = start([topic], chunk_records=1000, chunk_bytes=250_000)
    worker.wait_for(lambda: len(worker.offsets(topic, 0)) >= 40, "all records")

    assert max(chunk["size"] for chunk in worker.told("chunk")) <= 2 * 250_000 + 200_000


def test_killed_worker_goes_on_at_what_was_done(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    cluster.produce(topic, 300, partitions=1)
    first = start([topic])
    first.wait_for(lambda: len(first.offsets(topic, 0)) >= 300, "the first 300")
    first.order("commit_now")
    first.order("committed", [topic, 0])
    first.order("done", False)
    cluster.produce(topic, 300, partitions=1)
    first.wait_for(lambda: len(first.offsets(topic, 0)) >= 600, "the second 300")

    first.kill()
    second = start([topic])
    second.wait_for(lambda: len(second.offsets(topic, 0)) >= 300, "the second 300 again")

    assert first.told("committed")[0]["answer"] == [[300, "note"]]
    assert second.told("chunk")[0]["base"] == 300
    assert second.offsets(topic, 0) == list(range(300, 600))


def test_sigterm_commits_what_is_done_and_nothing_else(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a")
    cluster.produce(topic, 200)
    first = start([topic])
    first.wait_for(lambda: len(first.told("chunk")) >= 2, "both partitions")
    first.order("done", False)
    cluster.produce(topic, 2)
    first.wait_for(lambda: len(first.told("chunk")) >= 4, "one more of each")

    assert first.terminate() == 0

    assert first.told("revoked") == [{"what": "revoked", "partitions": [[topic, 0], [topic, 1]]}]
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": f"{cluster.prefix}-test"})
    committed = consumer.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=60)
    consumer.close()
    assert [place.offset for place in committed] == [100, 100]


def test_rebalance_rewinds_what_was_fetched_and_not_done(cluster: Cluster, start: Start) -> None:
    """Also partitions that have no commit yet, which stock Faust would leave where they are."""
    topic = cluster.create("a")
    cluster.produce(topic, 200)
    first = start([topic])
    first.order("done", False)
    first.wait_for(lambda: len(first.told("chunk")) >= 2, "both partitions")

    second = start([topic])
    second.wait_for(lambda: share_of(second), "the second worker's share")
    first.wait_for(lambda: share_of(first), "the share that the first one keeps")

    (kept,) = first.told("assigned")[-1]["partitions"]
    (moved,) = second.told("assigned")[-1]["partitions"]
    assert {kept[1], moved[1]} == {0, 1}
    assert share_of(first)[0]["base"] == 0
    assert share_of(second)[0]["base"] == 0


def test_topics_come_and_go_while_the_worker_runs(cluster: Cluster, start: Start) -> None:
    anchor, one = cluster.create("anchor", 1), cluster.create("one")
    cluster.produce(anchor, 10, partitions=1)
    cluster.produce(one, 10)
    worker = start([one], anchor=anchor)
    worker.wait_for(lambda: len(worker.offsets(one, 0)) == 5, "the first topic")

    two = cluster.create("two")
    cluster.produce(two, 10)
    worker.order("subscribe", [one, two])
    worker.wait_for(lambda: len(worker.offsets(two, 0)) == len(worker.offsets(two, 1)) == 5, "the second topic")
    worker.order("subscribe", [two])
    worker.wait_for(lambda: worker.told("assigned")[-1]["partitions"] == [[two, 0], [two, 1]], "the first one gone")

    assert worker.offsets(one, 0) == worker.offsets(two, 0) == list(range(5))
    assert worker.offsets(anchor, 0) == []


def test_aborted_records_are_not_read_and_markers_leave_no_hole(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "transactional.id": cluster.prefix})
    producer.init_transactions(60)
    for outcome in (producer.commit_transaction, producer.abort_transaction, producer.commit_transaction):
        producer.begin_transaction()
        for _ in range(3):
            producer.produce(topic, outcome.__name__, partition=0)
        producer.flush(60)  # or an abort would drop what was not sent yet
        outcome(60)

    worker = start([topic])
    worker.wait_for(lambda: len(worker.offsets(topic, 0)) >= 6, "the committed records")

    assert worker.offsets(topic, 0) == [0, 1, 2, 8, 9, 10]
    assert_no_holes(worker)


def test_position_moves_past_a_transaction_that_left_no_record(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    worker = start([topic])
    worker.wait_for(lambda: worker.told("assigned"), "the assignment")
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "transactional.id": cluster.prefix})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(topic, "aborted", partition=0)
    producer.flush(60)  # or an abort would drop what was not sent yet
    producer.abort_transaction(60)

    worker.wait_for(lambda: worker.told("chunk") and worker.told("chunk")[-1]["end"] == 2, "the marker's place")

    assert worker.offsets(topic, 0) == []


def test_offsets_that_retention_deleted_are_accounted_for(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    cluster.produce(topic, 100, partitions=1)
    first = start([topic])
    first.wait_for(lambda: len(first.offsets(topic, 0)) >= 100, "the first 100")
    assert first.terminate() == 0
    cluster.produce(topic, 100, partitions=1)
    for answer in cluster.admin.delete_records([TopicPartition(topic, 0, 150)]).values():
        answer.result(60)

    second = start([topic])
    second.wait_for(lambda: len(second.offsets(topic, 0)) >= 50, "what is left")

    (chunk,) = second.told("chunk")
    assert (chunk["base"], chunk["end"], chunk["lost"]) == (100, 200, 50)
    assert second.offsets(topic, 0) == list(range(150, 200))
    second.kill()
    assert "retention deleted 50 offsets (100 to 149)" in second.errors


def test_held_back_partition_waits_and_the_others_go_on(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a")
    worker = start([topic])
    worker.wait_for(lambda: worker.told("assigned"), "the assignment")
    worker.order("hold", [topic, 0])
    worker.wait_for(lambda: worker.told("held"), "the partition held back")
    cluster.produce(topic, 20)
    worker.wait_for(lambda: len(worker.offsets(topic, 1)) >= 10, "the other partition")
    cluster.produce(topic, 20)
    worker.wait_for(lambda: len(worker.offsets(topic, 1)) >= 20, "the other partition again")
    held = worker.offsets(topic, 0)

    worker.order("let_go", [topic, 0])
    worker.wait_for(lambda: len(worker.offsets(topic, 0)) >= 20, "the partition let go")

    assert held == []
    assert worker.offsets(topic, 0) == list(range(20))


def test_rewound_partition_is_read_again_under_a_new_generation(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a")
    cluster.produce(topic, 20)
    worker = start([topic])
    worker.order("done", False)
    worker.wait_for(lambda: len(worker.told("chunk")) >= 2, "both partitions")

    worker.order("rewind", [topic, 1])
    worker.wait_for(lambda: len(worker.offsets(topic, 1)) >= 20, "the partition again")

    generations = [c["generation"] for c in worker.told("chunk") if c["partition"] == 1]
    assert generations[0] < generations[-1]
    assert worker.offsets(topic, 1) == [*range(10), *range(10)]
    assert worker.offsets(topic, 0) == list(range(10))


def test_commit_shows_whether_the_group_still_counts_us_in(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    worker = start([topic])
    worker.wait_for(lambda: worker.told("assigned"), "the assignment")
    worker.order("commit_now")
    assert worker.told("commit_now")[-1]["answer"] is True

    worker.process.send_signal(signal.SIGSTOP)
    heir = start([topic])
    heir.wait_for(lambda: heir.told("assigned"), "the heir's assignment")
    worker.say("commit_now")  # the first thing that it does when it wakes up, before it can join again
    worker.process.send_signal(signal.SIGCONT)
    worker.wait_for(lambda: len(worker.told("commit_now")) == 2, "the second answer")

    assert worker.told("commit_now")[-1]["answer"] is False


def test_ticks_come_between_the_chunks(cluster: Cluster, start: Start) -> None:
    topic = cluster.create("a", 1)
    worker = start([topic], tick_seconds=0.05)

    worker.wait_for(lambda: len(worker.told("tick")) >= 3, "ticks")
    cluster.produce(topic, 1, partitions=1)
    worker.wait_for(lambda: worker.told("chunk"), "a chunk")


def test_worker_that_the_group_refuses_is_ended_by_the_watchdog(cluster: Cluster, start: Start) -> None:
    """aiokafka parks the error for a call that Faust never makes; the process would live on without partitions."""
    topic = cluster.create("a", 1)
    other = Consumer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "group.id": f"{cluster.prefix}-test",
            "partition.assignment.strategy": "range",
        }
    )
    assigned: list[bool] = []
    other.subscribe([topic], on_assign=lambda *_: assigned.append(True))
    while not assigned:
        other.poll(0.1)

    worker = start([topic])
    while worker.process.poll() is None:
        other.poll(0.1)
    other.close()

    assert worker.terminate() == 70
    assert "parked" in worker.errors
