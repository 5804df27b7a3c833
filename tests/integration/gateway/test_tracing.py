"""A request's trace: a span of ours in it, and the header with the event."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_process import GatewayProcess, running, wait_for
from trace_receiver import facts, receiving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_request_is_a_span_of_its_senders_trace_and_the_event_takes_the_trace_along(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as traces:
        for name, value in traces.environment.items():
            monkeypatch.setenv(name, value)
        with running(GatewayProcess(kafka, topic_prefix, tmp_path / "gateway.log")) as gateway:
            target = gateway.add_receiver("flights")
            with gateway.client() as client:
                status = client.post(target.path, content=b"12345", headers={"traceparent": TRACEPARENT}).status_code
            wait_for(lambda: traces.spans("gateway.ingest") != [], "a span")
            ((_, headers),) = gateway.events(target)

    (span,) = traces.spans("gateway.ingest")
    assert status == 200
    assert span.trace_id.hex() == TRACE
    assert facts(span) == {
        "messaging.destination.name": target.topic,
        "messaging.batch.message_count": 1,
        "http.request.body.size": 5,
        "streams.acknowledged": 1,
    }
    assert ("Traceparent", TRACEPARENT.encode()) in headers
