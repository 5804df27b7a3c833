"""The sink plug-in on a real Connect worker that is killed, before a gateway that refuses, fails and falls silent."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Producer
from connect_traffic import Source, ids_by_number, make_topic, numbers_in
from connect_worker import DEADLINE_SECONDS, SINK_JAR, ConnectWorker, committed
from connector_keys import own_keys
from gateway_process import GatewayProcess, running
from unreliable_gateway import Reply, Request, UnreliableGateway

from app.kafka.client import producer_config
from app.model.connect import Destination, SinkKind, SinkRoute, connector_body, sink_config

RECORDS, PARTITIONS, BATCH = 1_800, 3, 50
POISON = {17, 901}
FAILURES = {
    2: Reply(429, {"Retry-After": "1"}),
    4: Reply(503),
    6: Reply(503, after=True),
    8: Reply(500, after=True),
}
OWN_PREFIXES = ("http.", "body.", "batch.", "headers.", "retry.", "idempotency.")
KILLED_AT = 12
"""The request during which the worker is killed."""


@pytest.fixture(scope="module")
def gateway(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    log = tmp_path_factory.mktemp("gateway") / "gateway.log"
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    with running(GatewayProcess(kafka, prefix, log, receiver_partitions=1)) as process:
        yield process


@pytest.fixture(scope="module")
def worker(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConnectWorker]:
    with ConnectWorker(kafka, tmp_path_factory.mktemp("worker"), [SINK_JAR]) as process:
        yield process


def config(url: str, topic: str, **others: Any) -> dict[str, str]:
    route = SinkRoute("sink", (topic,), Destination(url), f"{topic}-dead", replication_factor=1)
    return sink_config(SinkKind.DATA_STREAMS, route) | {name: str(value) for name, value in others.items()}


def test_plugin_is_found_by_its_manifest(worker: ConnectWorker) -> None:
    plugins = {one["class"]: one for one in worker.call("GET", "/connector-plugins").json()}

    assert plugins["datastreams.connect.DataStreamsSinkConnector"]["type"] == "sink"
    assert plugins["datastreams.connect.DataStreamsSinkConnector"]["version"] == "0.1.0"


def test_rendered_configuration_is_valid_and_has_no_name_that_nobody_knows(worker: ConnectWorker) -> None:
    given = config("http://127.0.0.1:1/", "orders")

    found = worker.validate(given)

    assert {name: errors for name, errors in found.items() if errors} == {}
    assert set(given) - set(found) == set()


def test_table_of_keys_has_the_names_of_the_plugins_own_definition(worker: ConnectWorker) -> None:
    answer = worker.call("GET", "/connector-plugins/datastreams.connect.DataStreamsSinkConnector/config").json()

    assert {one["name"] for one in answer if "." in one["name"]} >= own_keys("data-streams")
    assert {one["name"] for one in answer if one["name"].startswith(OWN_PREFIXES)} == own_keys("data-streams")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http.url", "no url"),
        ("batch.max.size", "0"),
        ("batch.maxsize", "10"),
        ("errors.deadletterqueue.topic.name", ""),
    ],
)
def test_worker_refuses_what_is_wrong(worker: ConnectWorker, name: str, value: str) -> None:
    found = worker.validate(config("http://127.0.0.1:1/", "orders", **{name: value}))

    wrong = {one for one, errors in found.items() if errors}
    assert wrong == {"errors.tolerance" if name.startswith("errors.") else name}


def test_rendered_connector_is_posted_and_may_have_its_url_in_a_file_of_the_worker(
    worker: ConnectWorker, gateway: GatewayProcess, topic_prefix: str
) -> None:
    settings = gateway.settings
    target = gateway.add_receiver(topic_prefix)
    source = Source(settings, f"{topic_prefix}-orders", 1, 1)
    source.fill()
    secrets = worker.folder / f"{topic_prefix}.properties"
    secrets.write_text(f"clicks={gateway.url(target)}\n")
    route = SinkRoute(f"{topic_prefix}-sink", (source.topic,), Destination("http://x/"), "dead", replication_factor=1)
    body = json.dumps(connector_body(SinkKind.DATA_STREAMS, route)).replace("http://x/", f"${{file:{secrets}:clicks}}")

    answer = worker.call("POST", "/connectors", json.loads(body))
    assert answer.status_code == 201, answer.text
    worker.wait_for(lambda: committed(settings, route.name) == source.end, "the record to be committed")
    shown = worker.call("GET", f"/connectors/{route.name}").text
    worker.call("DELETE", f"/connectors/{route.name}")

    assert [event for event, _ in gateway.events(target)] == [b'{"n": 0}']
    assert target.path not in shown


def test_gateway_is_left_alone_for_as_long_as_it_asks(
    worker: ConnectWorker, gateway: GatewayProcess, topic_prefix: str
) -> None:
    settings = gateway.settings
    target = gateway.add_receiver(topic_prefix)
    source = Source(settings, f"{topic_prefix}-orders", 1, 1)
    source.fill()
    name = f"{topic_prefix}-sink"
    requests: list[Request] = []

    with UnreliableGateway(gateway.address) as between:

        def plan(request: Request) -> Reply | None:
            requests.append(request)
            return Reply(429, {"Retry-After": "2"}) if request.number == 0 else None

        between.plan = plan
        worker.put(name, config(between.url(target.path), source.topic))
        worker.wait_for(lambda: committed(settings, name) == source.end, "the record to be committed")
        worker.call("DELETE", f"/connectors/{name}")

    refused, again = requests
    assert again.headers["Idempotency-Key"] == refused.headers["Idempotency-Key"]
    # The worker commits every half a second and its polls end then, the sink's own pause would be as long. The task's
    # clock has milliseconds.
    assert again.read_at - refused.read_at > 1.99


def test_record_that_is_too_large_is_in_the_dead_letter_queue_or_ends_the_task(
    worker: ConnectWorker, gateway: GatewayProcess, topic_prefix: str
) -> None:
    """Connect itself commits a dead letter that its producer refuses at once."""
    settings = gateway.settings
    target = gateway.add_receiver(topic_prefix)
    topic, dead, name = f"{topic_prefix}-orders", f"{topic_prefix}-orders-dead", f"{topic_prefix}-sink"
    make_topic(settings, topic, 1)
    make_topic(settings, dead, 1)
    producer = Producer(producer_config(settings))
    for n, size in enumerate((1, 1_200_000, 1)):
        producer.produce(topic, json.dumps({"n": n, "pad": "x" * size}))
    assert producer.flush(DEADLINE_SECONDS) == 0
    rendered = config(gateway.url(target), topic)

    worker.put(name, rendered | {"producer.override.max.request.size": str(1 << 20)})
    worker.wait_for(lambda: worker.states(name) == ["FAILED"], "the task to end")
    before = committed(settings, name).get((topic, 0), 0)
    worker.put(name, rendered)
    worker.wait_for(lambda: committed(settings, name) == {(topic, 0): 3}, "all to be committed")
    worker.call("DELETE", f"/connectors/{name}")

    assert before <= 1
    assert numbers_in(settings, dead) == [1]
    assert set(ids_by_number(gateway.events(target))) == {0, 2}


def test_what_became_of_records_is_shown_by_the_workers_metrics(
    worker: ConnectWorker, gateway: GatewayProcess, topic_prefix: str
) -> None:
    settings = gateway.settings
    target = gateway.add_receiver(topic_prefix)
    source = Source(settings, f"{topic_prefix}-orders", 1, 4)
    source.fill()
    make_topic(settings, f"{source.topic}-dead", 1)
    name = f"{topic_prefix}-sink"

    with UnreliableGateway(gateway.address) as between:
        between.plan = lambda request: Reply(413) if b'{"n": 2}' in request.body else None
        worker.put(name, config(between.url(target.path), source.topic))
        worker.wait_for(lambda: committed(settings, name) == source.end, "all to be committed")
        shown = worker.metrics(f'data.streams:type=sink-task,connector="{name}",task=0')
        worker.call("DELETE", f"/connectors/{name}")

    assert (shown["RecordsDelivered"], shown["RecordsDeadLettered"], shown["RecordsWaiting"]) == (3, 1, 0)
    assert shown["Requests"] - shown["RequestsRefused"] == between.answered.count(200)


def test_no_record_is_lost_or_doubled_when_the_worker_is_killed_and_the_gateway_fails(
    worker: ConnectWorker, gateway: GatewayProcess, topic_prefix: str
) -> None:
    settings = gateway.settings
    target = gateway.add_receiver(topic_prefix)
    source = Source(settings, f"{topic_prefix}-orders", PARTITIONS, RECORDS)
    source.fill([("tenant", "007")])
    dead, name = f"{source.topic}-dead", f"{topic_prefix}-sink"
    make_topic(settings, dead, 1)
    half = threading.Event()

    with UnreliableGateway(gateway.address) as between:

        def plan(request: Request) -> Reply | None:
            if request.number == KILLED_AT:
                between.fall_silent()
                half.set()
            failure = FAILURES.get(request.number)
            if any(b'{"n": %d}' % number in request.body for number in POISON):
                return Reply(413) if failure is None else replace(failure, after=False)
            return failure

        between.plan = plan
        given = config(between.url(target.path), source.topic, **{"batch.max.size": BATCH})
        worker.put(name, given)
        assert half.wait(DEADLINE_SECONDS), worker.log[-4000:]
        worker.kill_and_expel(settings, name)
        between.speak()
        worker.start()
        worker.put(name, given)
        worker.wait_for(lambda: committed(settings, name) == source.end, "all to be committed")

        stored = gateway.events(target)
        ids = ids_by_number(stored)
        assert len(stored) > len(ids), "nothing was sent twice, so nothing is shown of it"
        assert set(numbers_in(settings, dead)) == POISON
        assert set(ids) == set(range(RECORDS)) - POISON
        assert {number for number, names in ids.items() if len(names) > 1} == set()
        assert {dict(headers)["Tenant"] for _, headers in stored} == {b"007"}
        assert {429, 503, 500, 413, 200} <= set(between.answered)
