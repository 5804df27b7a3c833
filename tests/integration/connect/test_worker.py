"""The sink plug-in on a real Connect worker that is killed, before a gateway that refuses, fails and falls silent."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from connect_traffic import Source, ids_by_number, make_topic, numbers_in
from connect_worker import DEADLINE_SECONDS, SINK_JAR, ConnectWorker, committed
from connector_keys import own_keys
from gateway_process import GatewayProcess, running
from unreliable_gateway import Reply, Request, UnreliableGateway

from app.model.connect import Destination, SinkKind, SinkRoute, sink_config

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
        assert set(numbers_in(settings, dead)) == POISON
        assert set(ids) == set(range(RECORDS)) - POISON
        assert {number for number, names in ids.items() if len(names) > 1} == set()
        assert {dict(headers)["Tenant"] for _, headers in stored} == {b"007"}
        assert {429, 503, 500, 413, 200} <= set(between.answered)
