"""What the gateway counts: plain numbers on the hot path, made into Prometheus metrics only when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.observe.families import histogram

BUCKETS_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(slots=True)
class Counters:
    """Of the ingest lane since the process started; only the event loop writes them."""

    accepted: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    """Requests that were answered, by status."""
    unproven: Counter[str] = field(default_factory=Counter)
    """Requests refused because of their signature or token, validations too, by reason."""
    abandoned: int = 0
    """Requests whose sender went away before the answer."""
    validations: Counter[int] = field(default_factory=Counter)
    """Validations (`?validate=1`) that were answered, by status; they are no import requests."""
    events: int = 0
    body_bytes: int = 0
    acknowledge_counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_SECONDS) + 1))
    acknowledge_seconds: float = 0.0

    def acknowledged(self, seconds: float) -> None:
        """Kafka had all events of a request after this time."""
        self.acknowledge_counts[bisect_left(BUCKETS_SECONDS, seconds)] += 1
        self.acknowledge_seconds += seconds


@dataclass(frozen=True)
class Levels:
    """What is so now."""

    inflight_bytes: int
    connections: int
    view_age_seconds: float


class GatewayCollector(Collector):
    """Shows Counters and Levels as `streams_gateway_*`, and whether the gateway is ready."""

    def __init__(self, counters: Counters, levels: Callable[[], Levels], ready: Callable[[], bool]) -> None:
        self._counters, self._levels, self._ready = counters, levels, ready

    def collect(self) -> Iterator[Metric]:
        counters, levels = self._counters, self._levels()
        requests = CounterMetricFamily("streams_gateway_requests", "Import requests answered.", labels=["status"])
        requests.add_metric(["200"], counters.accepted)
        for status, count in sorted(counters.refused.items()):
            requests.add_metric([str(status)], count)
        yield requests
        validations = CounterMetricFamily("streams_gateway_validations", "Validations answered.", labels=["status"])
        for status, count in sorted(counters.validations.items()):
            validations.add_metric([str(status)], count)
        yield validations
        unproven = CounterMetricFamily(
            "streams_gateway_unproven", "Requests refused for their signature or token.", labels=["reason"]
        )
        for reason, count in sorted(counters.unproven.items()):
            unproven.add_metric([reason], count)
        yield unproven
        yield CounterMetricFamily(
            "streams_gateway_abandoned", "Import requests whose sender left first.", value=counters.abandoned
        )
        yield CounterMetricFamily("streams_gateway_events", "Events acknowledged.", value=counters.events)
        yield CounterMetricFamily(
            "streams_gateway_body_bytes", "Bytes of bodies acknowledged, inflated.", value=counters.body_bytes
        )
        yield GaugeMetricFamily(
            "streams_gateway_inflight_bytes", "Bytes held until Kafka acknowledges.", value=levels.inflight_bytes
        )
        yield GaugeMetricFamily("streams_gateway_connections", "Open connections.", value=levels.connections)
        yield GaugeMetricFamily(
            "streams_gateway_view_age_seconds",
            "Time since the view met the control log's end.",
            value=levels.view_age_seconds,
        )
        yield GaugeMetricFamily("streams_ready", "1 while the process is ready, else 0.", value=self._ready())
        yield self._latency()

    def _latency(self) -> Metric:
        return histogram(
            "streams_gateway_acknowledge_seconds",
            "Time from a whole request to Kafka's acknowledgement.",
            BUCKETS_SECONDS,
            self._counters.acknowledge_counts,
            self._counters.acknowledge_seconds,
        )
