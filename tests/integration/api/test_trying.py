"""Dry runs through the API: sample events, real ones from Kafka, mappings that are not saved. Nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx
import orjson
import pytest
from buffer_stack import Client, export_body
from confluent_kafka import Message, Producer

from app.api.outcomes import MAX_VALUE_BYTES
from app.kafka.client import connect_admin, producer_config
from app.kafka.recent import read_recent
from app.model.ids import derived_event_id
from app.model.receiver import Receiver
from app.settings import Settings

Json = dict[str, Any]
SECONDS = 60


def template(name: str, content: str) -> Json:
    return {"name": name, "type": "template", "template": {"language": "jsonnet", "content": content}}


def mapping(*columns: Json) -> Json:
    return {"columns": columns}


async def make(api: Client, name: str, *columns: Json) -> str:
    """A receiver with one export; the path of its test."""
    export = {**export_body("E", f"in.c-{name}.t")}
    if columns:
        export["mapping"] = {**export["mapping"], "columns": columns}
    await api.create("/v1/receivers", {"name": name, "exports": [export]})
    return f"/v1/receivers/{name}/exports/e/test"


def receiver_of(api: Client, name: str) -> Receiver:
    return api.view.catalog.receivers[f"1234/{name}"]


def write(settings: Settings, topic: str, *records: tuple[int, bytes | None, Sequence[tuple[str, bytes]]]) -> None:
    """Records as a Kafka producer writes them, one after the other, each at a time of its own."""
    producer = Producer(producer_config(settings))
    for partition, value, headers in records:
        written: list[Message] = []
        producer.produce(
            topic,
            value,
            partition=partition,
            headers=list(headers),
            on_delivery=lambda error, message, written=written: written.append(message),
        )
        assert producer.flush(SECONDS) == 0
        while time.time_ns() // 1_000_000 <= written[0].timestamp()[1]:
            pass  # the broker's clock is ours, and has milliseconds


def cells(event: Json) -> Json:
    return {column["name"]: column["value"] for column in event["columns"]}


async def test_sample_becomes_its_row_and_is_not_stored(api: Client, settings: Settings, name: str) -> None:
    path = await make(
        *(api, name, {"name": "body", "type": "body"}, template("page", 'Body("page")')),
        *({"name": "ip", "type": "ip"}, template("shop", 'Header("X-Shop") + Header("X-StorageApi-Token", "")')),
    )

    answer = await api.http.post(path, content=b'{"page": "/a"}', headers={"x-shop": "1"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json"), answer.text
    csv = b'"{""page"": ""/a""}","""/a""","127.0.0.1","""1"""\n'
    row = [("body", '{"page": "/a"}'), ("page", '"/a"'), ("ip", "127.0.0.1"), ("shop", '"1"')]
    assert answer.json() == {
        "events": [
            {"index": 0, "columns": [{"name": n, "value": v} for n, v in row], "csvBytes": len(csv)},
        ],
        "totals": {"events": 1, "rows": 1, "errors": 0, "skipped": 0, "csvBytes": len(csv)},
    }
    topic = receiver_of(api, name).topic
    assert read_recent(settings, topic, {}, 1, max_bytes=1, seconds=SECONDS) == []


async def test_sample_is_split_and_errors_are_told_by_column(api: Client, name: str) -> None:
    path = await make(api, name, template("a", 'Body("a")'), template("b", 'Body("b")'))
    lines = {"Content-Type": "application/x-ndjson"}

    array = (await api.http.post(path, content=b'[{"a": 1, "b": 2}, {}]')).json()
    ndjson = (await api.http.post(path, content=b'{"a": 1}\nbroken\n', headers=lines)).json()

    assert cells(array["events"][0]) == {"a": "1", "b": "2"}
    assert array["events"][1] == {
        "index": 1,
        "errors": [
            {"column": "a", "reason": "template.error", "message": 'path "a" not found in the body'},
            {"column": "b", "reason": "template.error", "message": 'path "b" not found in the body'},
        ],
    }
    assert [[error.get("column") for error in event["errors"]] for event in ndjson["events"]] == [["b"], [None]]
    assert ndjson["totals"] == {"events": 2, "rows": 0, "errors": 2, "skipped": 0, "csvBytes": 0}


async def test_event_that_the_filter_leaves_out_is_skipped(api: Client) -> None:
    columns = [template("page", 'Body("page")')]
    filter = {"language": "jsonnet", "content": 'Body("page") != "/health"'}
    events = [{"body": {"page": "/health"}}, {"body": {"page": "/a"}}, {"body": {}}]

    answer = (
        await api.http.post("/v1/test", json={"mapping": {"columns": columns}, "filter": filter, "events": events})
    ).json()
    refused = await api.http.post(
        "/v1/test",
        json={"mapping": {"columns": columns}, "filter": {**filter, "content": "nope"}, "event": {}},
    )

    skipped, row, failed = answer["events"]
    assert skipped == {"index": 0, "skipped": True}
    assert cells(row) == {"page": '"/a"'}
    assert failed["errors"][0]["message"] == 'filter: path "page" not found in the body'
    assert answer["totals"] == {"events": 3, "rows": 1, "errors": 1, "skipped": 1, "csvBytes": 9}
    assert (refused.status_code, refused.json()["message"]) == (
        400,
        "Filter is invalid: 1:1-5 Unknown variable: nope.",
    )


async def test_described_body_may_be_any_json(api: Client) -> None:
    bodies: list[Any] = [[{"a": 1}], [1], {"a": [{"b": 2}]}, 7, None, True]
    mapping = {"columns": [template("body", "Body()")]}

    answer = await api.http.post("/v1/test", json={"mapping": mapping, "events": [{"body": body} for body in bodies]})

    assert answer.status_code == 200, answer.text
    assert [orjson.loads(cells(event)["body"]) for event in answer.json()["events"]] == bodies


async def test_large_value_is_cut_and_its_size_told(api: Client, name: str) -> None:
    path = await make(api, name, template("x", "std.repeat('ž', 100000)"))

    (event,) = (await api.http.post(path, content=b"{}")).json()["events"]

    (column,) = event["columns"]
    assert len(column["value"].encode()) == MAX_VALUE_BYTES - 1  # a letter of two bytes would be cut in two
    assert (column["valueBytes"], event["csvBytes"]) == (200_002, 200_007)


async def test_template_that_does_not_end_is_an_error_of_its_event(api: Client, name: str) -> None:
    endless = "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); if Body('stop', false) then 1 else f(60)"
    path = await make(api, name, template("x", endless))

    events = (await api.http.post(path, content=b'[{"stop": true}, {}]')).json()["events"]

    assert cells(events[0]) == {"x": "1"}
    assert [(error["column"], error["reason"]) for error in events[1]["errors"]] == [("x", "template.timeout")]


async def test_last_are_the_newest_real_events_as_the_mapper_would_map_them(
    api: Client, settings: Settings, name: str
) -> None:
    path = await make(api, name, {"name": "id", "type": "id"}, {"name": "ip", "type": "ip"}, template("n", 'Body("n")'))
    empty = await api.http.post(path, params={"last": "5"})
    receiver = receiver_of(api, name)
    write(
        *(settings, receiver.topic, (0, b'{"n": 1}', [])),
        (1, b'{"n": 2}', [("streams.id", b"given"), ("streams.ip", b"10.0.0.1")]),
        (0, None, []),
        (0, b"{}", []),
    )

    found = (await api.http.post(path, params={"last": "2"})).json()

    assert empty.json()["events"] == []
    second, third = found["events"]
    assert cells(second) == {"id": "given", "ip": "10.0.0.1", "n": "2"}
    place = {"topic": receiver.topic, "partition": 1, "offset": 0, "receivedAt": ""}
    assert {**second["source"], "receivedAt": ""} == place
    assert (third["index"], third["source"]["offset"], third["errors"][0]["column"]) == (1, 2, "n")
    everything = (await api.http.post(path, params={"last": "100"})).json()
    assert cells(everything["events"][0])["id"] == derived_event_id(receiver.topic_id, 0, 0)
    admin = connect_admin(settings)
    groups = admin.list_consumer_groups(request_timeout=SECONDS).result(SECONDS).valid
    assert f"{settings.topic_prefix}-reader" not in [group.group_id for group in groups]


async def test_unsaved_mapping_is_tried_on_described_events(api: Client) -> None:
    columns = [template("v", 'Body("a[0]") + ":" + Header("X-A", "none")'), {"name": "ip", "type": "ip"}]
    events = [
        {"body": {"a": ["x"]}, "headers": {"x-a": "1"}, "ip": "10.0.0.1"},
        {"body": "a[0]=y", "contentType": "application/x-www-form-urlencoded"},
        {},
    ]

    answer = await api.post("/v1/test", {"mapping": mapping(*columns), "events": events, "colour": "red"})

    first, second, third = answer.json()["events"]
    assert cells(first) == {"v": '"x:1"', "ip": "10.0.0.1"}
    assert second["errors"][0]["message"] == 'path "a[0]" not found in the body'
    assert third["errors"] == [{"reason": "body.invalid", "message": "Invalid JSON: the body is empty"}]
    assert answer.json()["warnings"] == ['Unknown field "colour" in body is ignored.']


async def test_unsaved_mapping_is_tried_on_real_events(api: Client, settings: Settings, name: str) -> None:
    await make(api, name)
    write(settings, receiver_of(api, name).topic, (0, b'{"value": 7}', []))

    body = {"mapping": mapping(template("v", 'Body("value") + 1')), "receiverId": name, "last": 3}
    (event,) = (await api.post("/v1/test", body)).json()["events"]

    assert (cells(event), event["source"]["partition"]) == ({"v": "8"}, 0)


@pytest.mark.parametrize(
    ("body", "status", "name", "message"),
    [
        (
            {"mapping": mapping(template("x", "1 +")), "event": {}},
            *(400, "buffer.badRequest", 'Column "x" template is invalid: '),
        ),
        ({"mapping": {"columns": []}, "event": {}}, 400, "buffer.invalidLength", "Length of body.mapping.columns"),
        (
            {"mapping": {**mapping(template("x", "1")), "tableId": "t"}, "event": {}},
            *(400, "buffer.badRequest", 'Invalid "tableId" value "t"'),
        ),
        ({"mapping": mapping(template("x", "1"))}, 400, "buffer.badRequest", "Give one of body.event"),
        (
            {"mapping": mapping(template("x", "1")), "receiverId": "nobody", "last": 101},
            *(400, "buffer.invalidRange", "Body.last must be lesser or equal than 100 but got value 101"),
        ),
        (
            {"mapping": mapping(template("x", "1")), "receiverId": "nobody", "last": 1},
            *(404, "buffer.receiverNotFound", 'Receiver "nobody" not found'),
        ),
    ],
    ids=["template", "columns", "table", "no events", "last", "receiver"],
)
async def test_wrong_request_is_refused_as_at_the_creation(
    api: Client, body: Json, status: int, name: str, message: str
) -> None:
    answer = await api.post("/v1/test", body)

    found = answer.json()
    assert (answer.status_code, found["error"]) == (status, name)
    assert found["message"].startswith(message)


async def test_events_and_last_together_and_too_many_events_are_refused(api: Client, name: str) -> None:
    path = await make(api, name, template("x", "1"))

    def told(answer: httpx.Response) -> tuple[int, str]:
        return answer.status_code, answer.json()["message"]

    both = await api.http.post(path, params={"last": "1"}, content=b"{}")
    many = await api.http.post(path, content=b"[" + b"1," * 100 + b"1]")
    unknown = await api.http.post(f"/v1/receivers/{name}/exports/other/test", content=b"{}")

    assert told(both) == (400, "Give either events in the body or last, not both.")
    assert told(many) == (413, "Too many events to test, the maximum is 100 in one request.")
    assert told(unknown) == (404, 'Export "other" not found in the receiver.')
