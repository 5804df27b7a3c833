"""Plain numbers become Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from app.gateway.metrics import Counters, GatewayCollector, Levels


def test_counters_and_levels_are_shown() -> None:
    counters = Counters(accepted=3, abandoned=1, events=5, body_bytes=70)
    counters.refused[404] += 2
    counters.validations[400] += 1
    counters.unproven["signature_missing"] += 1
    for seconds in (0.001, 0.0011, 0.5, 60):
        counters.acknowledged(seconds)
    registry = CollectorRegistry()
    registry.register(GatewayCollector(counters, lambda: Levels(11, 2, 0.5), lambda: True))

    lines = generate_latest(registry).decode().splitlines()

    assert {
        'streams_gateway_requests_total{status="200"} 3.0',
        'streams_gateway_requests_total{status="404"} 2.0',
        'streams_gateway_unproven_total{reason="signature_missing"} 1.0',
        "streams_gateway_abandoned_total 1.0",
        'streams_gateway_validations_total{status="400"} 1.0',
        "streams_gateway_events_total 5.0",
        "streams_gateway_body_bytes_total 70.0",
        "streams_gateway_inflight_bytes 11.0",
        "streams_gateway_connections 2.0",
        "streams_ready 1.0",
        "streams_gateway_view_age_seconds 0.5",
        'streams_gateway_acknowledge_seconds_bucket{le="0.001"} 1.0',
        'streams_gateway_acknowledge_seconds_bucket{le="0.002"} 2.0',
        'streams_gateway_acknowledge_seconds_bucket{le="0.5"} 3.0',
        'streams_gateway_acknowledge_seconds_bucket{le="10.0"} 3.0',
        'streams_gateway_acknowledge_seconds_bucket{le="+Inf"} 4.0',
        "streams_gateway_acknowledge_seconds_sum 60.5021",
    } <= set(lines)
