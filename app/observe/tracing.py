"""Traces by OpenTelemetry, if the standard OTEL_* variables ask for them; else nothing of it is imported or done.

On when OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is set, unless OTEL_SDK_DISABLED is true or
OTEL_TRACES_EXPORTER is none. Spans go out by OTLP over HTTP, from a thread; without a collector they are dropped.
Needs the extra `otel`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from app.model.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Tracer

T = TypeVar("T")
Attributes = Mapping[str, str | int]
TRACEPARENT = "Traceparent"
"""The header of W3C Trace Context, as event headers are written. A sender's goes with the event like any other."""
GATEWAY_SHARE = 0.01
"""Of the requests that come without a trace, how many the gateway traces, unless OTEL_TRACES_SAMPLER is set."""
_MOST_LINKS = 8
_RECORDS_LOOKED_AT = 100
_FLUSH_SECONDS = 2.0
_tracer: Tracer | None = None


class HasHeaders(Protocol):
    """A record of Kafka."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether these variables ask for traces."""
    given = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return any(map(environment.get, given)) and not disabled and environment.get("OTEL_TRACES_EXPORTER") != "none"


def is_on() -> bool:
    """Whether spans are made in this process."""
    return _tracer is not None


@contextmanager
def tracing(process: str) -> Iterator[None]:
    """Trace this process if the environment asks for it; at the end what is left is sent, for a moment.

    Raises ConfigurationError when the packages are not there.
    """
    global _tracer
    if not is_wanted(os.environ):
        yield
        return
    try:
        provider = _provider(process)
    except ImportError as error:
        raise ConfigurationError(
            f"OTEL_* variables ask for traces, but OpenTelemetry is not installed ({error.name}). "
            "Install data-streams[otel], or set OTEL_SDK_DISABLED=true."
        ) from error
    _tracer = provider.get_tracer("data-streams")
    try:
        yield
    finally:
        _tracer = None
        flushing = threading.Thread(target=provider.shutdown, name="traces-flush", daemon=True)
        flushing.start()
        flushing.join(_FLUSH_SECONDS)  # a collector that is away must not hold a stop up


def traced(
    name: str, work: Coroutine[Any, Any, T], attributes: Attributes, records: Iterable[HasHeaders] = ()
) -> Coroutine[Any, Any, T]:
    """The same work within a span, linked to the traces that these records came with; the work itself when off."""
    return work if _tracer is None else _within(_tracer, name, work, attributes, records)


def note(name: str, seconds: float, traceparent: bytes | None, attributes: Attributes) -> None:
    """A span that has just ended and took so long, within the sender's trace if there is one. Nothing when off."""
    if _tracer is None:
        return
    end_ns = time.time_ns()
    span = _tracer.start_span(
        name, context=_context(traceparent), start_time=end_ns - int(seconds * 1e9), attributes=dict(attributes)
    )
    span.end(end_ns)


async def _within(
    tracer: Tracer, name: str, work: Coroutine[Any, Any, T], attributes: Attributes, records: Iterable[HasHeaders]
) -> T:
    with tracer.start_as_current_span(name, attributes=dict(attributes), links=_links(records)):
        return await work


def _links(records: Iterable[HasHeaders]) -> list[Link]:
    from opentelemetry.trace import Link, get_current_span

    found: list[Link] = []
    for record, _ in zip(records, range(_RECORDS_LOOKED_AT), strict=False):
        for name, value in record.headers:
            if name.title() == TRACEPARENT and value is not None and len(found) < _MOST_LINKS:
                context = get_current_span(_context(value)).get_span_context()
                if context.is_valid:
                    found.append(Link(context))
    return found


def _context(traceparent: bytes | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {} if traceparent is None else {"traceparent": traceparent.decode("latin-1")}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _provider(process: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    resource = Resource.create({SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or f"data-streams-{process}"})
    few = process == "gateway" and not os.environ.get("OTEL_TRACES_SAMPLER")
    sampler = ParentBasedTraceIdRatio(GATEWAY_SHARE) if few else None
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
