"""POST /v1/import over HTTP into a real topic."""

from __future__ import annotations

import json
from uuid import UUID

import httpx
import pytest
from backports import zstd
from gateway_process import GatewayProcess, Target, wait_for


def post(gateway: GatewayProcess, path: str, content: bytes, **headers: str) -> httpx.Response:
    with gateway.client() as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(path, content=content, headers=named)


def test_accepted_event_is_in_the_topic_byte_for_byte(gateway: GatewayProcess, target: Target) -> None:
    body = b"\x00 not JSON \xff"

    answer = post(gateway, target.path + "?debug=true", body, x_request_ID="1", streams_id="kept", content_type="a/b")

    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers
    assert len(answer.headers["x-request-id"]) == 15
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"date", "server"} <= answer.headers.keys()
    ((value, headers),) = gateway.events(target)
    assert value == body
    named = dict(headers)
    assert list(named)[:2] == ["streams.id", "streams.ip"]
    assert UUID(named["streams.id"].decode()).version == 7
    assert named["streams.ip"] == b"127.0.0.1"
    assert (named["X-Request-Id"], named["Content-Type"], named["Streams-Id"]) == (b"1", b"a/b", b"kept")
    assert "Host" not in named


def test_empty_body_is_an_event(gateway: GatewayProcess, target: Target) -> None:
    assert post(gateway, target.path, b"").status_code == 200

    assert gateway.bodies(target) == [b""]


def test_array_and_lines_are_events_of_their_own(gateway: GatewayProcess, target: Target) -> None:
    array = post(gateway, target.path, b'[{"n": 1.10}, {"n":12345678901234567890}]', content_type="application/json")
    lines = post(gateway, target.path, b"a\n\nb\r\n", content_type="application/x-ndjson")

    assert (array.status_code, lines.status_code) == (200, 200)
    assert gateway.bodies(target) == [b"a", b"b", b'{"n": 1.10}', b'{"n":12345678901234567890}']
    assert len({dict(headers)["streams.id"] for _, headers in gateway.events(target)}) == 4


def test_thousands_of_events_in_one_request(gateway: GatewayProcess, target: Target) -> None:
    events = [json.dumps({"n": number}).encode() for number in range(20_000)]

    assert post(gateway, target.path, b"[" + b",".join(events) + b"]").status_code == 200

    assert gateway.bodies(target) == sorted(events)


def test_broken_array_stores_nothing(gateway: GatewayProcess, target: Target) -> None:
    answer = post(gateway, target.path, b"[1,2,", content_type="application/json")

    assert answer.status_code == 400
    assert answer.json()["error"] == "buffer.badRequest"
    assert "does not parse" in answer.json()["message"]
    assert gateway.bodies(target) == []


def test_compressed_lines_have_receipts_that_say_where_they_are(gateway: GatewayProcess, target: Target) -> None:
    body = zstd.compress(b"a\nb\n")

    path = target.path + "?receipt=1"
    headers = {"content_encoding": "zstd", "content_type": "application/x-ndjson", "idempotency_key": "one"}
    first, again = (post(gateway, path, body, **headers).json()["events"] for _ in range(2))

    assert gateway.bodies(target) == [b"a", b"a", b"b", b"b"]
    assert [event["id"] for event in first] == [event["id"] for event in again]
    assert {dict(named)["streams.id"].decode() for _, named in gateway.events(target)} == {one["id"] for one in first}
    assert sorted((one["partition"], one["offset"]) for one in first + again) == [(0, offset) for offset in range(4)]


def test_receiver_made_just_now_is_known(gateway: GatewayProcess) -> None:
    fresh = gateway.add_receiver("fresh")

    assert post(gateway, fresh.path, b"{}").status_code == 200


def test_deleted_receiver_is_not_found(gateway: GatewayProcess, target: Target) -> None:
    assert post(gateway, target.path, b"1").status_code == 200

    gateway.write_control("receiver", f"1/{target.receiver_id}", None)

    wait_for(lambda: post(gateway, target.path, b"2").status_code == 404, "404 of a deleted receiver")


def test_unknown_receiver_and_wrong_secret_are_told_alike(gateway: GatewayProcess, target: Target) -> None:
    unknown = post(gateway, target.path.replace(target.receiver_id, "nobody"), b"{}")
    wrong = post(gateway, target.path[:-1] + "!", b"{}")

    assert (unknown.status_code, wrong.status_code) == (404, 404)
    assert unknown.json() == {
        "statusCode": 404,
        "error": "buffer.receiverNotFound",
        "message": 'Receiver "nobody" not found in the project.',
    }
    assert wrong.json() == {
        "statusCode": 404,
        "error": "buffer.receiverNotFound",
        "message": f'Receiver "{target.receiver_id}" with given secret not found.',
    }
    assert unknown.headers.keys() == wrong.headers.keys()
    assert gateway.bodies(target) == []


def test_path_with_other_parts_is_no_endpoint(gateway: GatewayProcess) -> None:
    answer = post(gateway, "/v1/import/1/flights", b"{}")

    assert (answer.status_code, answer.json()["error"]) == (404, "buffer.endpointNotFound")
    assert answer.json()["message"] == 'No endpoint found for path "/v1/import/1/flights".'


def test_limit_of_the_body(gateway: GatewayProcess, target: Target) -> None:
    assert post(gateway, target.path, b"x" * 1024 * 1024).status_code == 200

    answer = post(gateway, target.path, b"x" * (1024 * 1024 + 1))

    assert answer.status_code == 413
    assert answer.json()["error"] == "buffer.payloadTooLarge"
    assert answer.json()["message"] == "Payload too large, the maximum size is 1MB."
    assert [len(body) for body in gateway.bodies(target)] == [1024 * 1024]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_allowed(gateway: GatewayProcess, target: Target, method: str) -> None:
    with gateway.client() as client:
        answer = client.request(method, target.path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")


def test_browser_may_send_events(gateway: GatewayProcess, target: Target) -> None:
    with gateway.client() as client:
        answer = client.options(target.path, headers={"Origin": "https://x", "Access-Control-Request-Method": "POST"})

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "POST"


def test_other_routes_are_the_apis(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        index, missing = client.get("/v1"), client.get("/nowhere")

    assert index.json()["api"] == "buffer"
    assert missing.json()["error"] == "buffer.endpointNotFound"


def test_metrics_count_requests_events_and_bytes(gateway: GatewayProcess, target: Target) -> None:
    names = [
        'streams_gateway_requests_total{status="200"}',
        "streams_gateway_events_total",
        "streams_gateway_body_bytes_total",
        "streams_gateway_acknowledge_seconds_count",
    ]
    post(gateway, target.path, b"{}")
    before = [gateway.metric(name) for name in names]

    post(gateway, target.path, b"[1,2,3]")

    assert [gateway.metric(name) - then for name, then in zip(names, before, strict=True)] == [1, 3, 7, 1]
    wait_for(lambda: gateway.metric("streams_gateway_inflight_bytes") == 0, "bytes in flight given back")
