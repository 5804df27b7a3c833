"""Spans by the real exporter when the environment asks for them, nothing at all when it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from trace_receiver import facts, receiving

from app.model.errors import ConfigurationError
from app.observe import tracing as module
from app.observe.tracing import is_on, is_wanted, note, traced, tracing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01".encode()
NOT_SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00".encode()


def record(*headers: tuple[str, bytes | None]) -> SimpleNamespace:
    return SimpleNamespace(headers=headers)


async def work() -> str:
    return "done"


async def test_work_is_a_span_with_its_facts_and_links_to_what_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as traces:
        for name, value in traces.environment.items():
            monkeypatch.setenv(name, value)
        with tracing("mapper"):
            records = [record(("traceparent", TRACEPARENT)), record(), record(("Traceparent", b"nonsense"))]
            answer = await traced("mapper.chunk", work(), {"streams.base": 7}, records)
        (span,) = traces.spans("mapper.chunk")

        assert answer == "done"
        assert facts(span) == {"streams.base": 7}
        assert [link.trace_id.hex() for link in span.links] == [TRACE]
        assert traces.services() == {"data-streams-mapper"}
    assert not is_on()


async def test_error_of_the_work_is_in_its_span_and_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise RuntimeError("no file")

    with receiving() as traces:
        for name, value in traces.environment.items():
            monkeypatch.setenv(name, value)
        with tracing("sink"), pytest.raises(RuntimeError, match="no file"):
            await traced("sink.stage", fail(), {})

        assert [event.name for event in traces.spans("sink.stage")[0].events] == ["exception"]


def test_what_has_ended_belongs_to_the_senders_trace_unless_that_is_not_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with receiving() as traces:
        for name, value in traces.environment.items():
            monkeypatch.setenv(name, value)
        with tracing("gateway"):
            note("gateway.ingest", 0.25, TRACEPARENT, {})
            note("gateway.ingest", 0.25, NOT_SAMPLED, {})
        (span,) = traces.spans("gateway.ingest")

    assert span.trace_id.hex() == TRACE
    assert span.end_time_unix_nano - span.start_time_unix_nano == 250_000_000


def test_gateway_traces_few_of_the_requests_that_bring_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATEWAY_SHARE", 0.0)
    with receiving() as traces:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", traces.url)
        with tracing("gateway"):
            note("gateway.ingest", 0.25, None, {})
            note("gateway.ingest", 0.25, TRACEPARENT, {})

        assert [span.trace_id.hex() for span in traces.spans("gateway.ingest")] == [TRACE]


async def test_work_is_given_back_as_it_is_without_traces() -> None:
    coroutine = work()

    given = traced("mapper.chunk", coroutine, {})

    assert given is coroutine
    assert await given == "done"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_environment_asks_for_traces(environment: Mapping[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted


def test_packages_that_are_missing_are_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(ConfigurationError, match=r"opentelemetry\.sdk\.trace.*data-streams\[otel\]"), tracing("sink"):
        pytest.fail("it cannot be traced")


def test_process_that_is_not_traced_does_not_even_import_the_sdk() -> None:
    code = "import app.gateway.process, app.mapper.process, app.sink.process, app.control.process, sys; " + (
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout == "[]\n"
