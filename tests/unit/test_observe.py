"""Liveness and metrics over HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client import Counter

from app.model.errors import ConfigurationError
from app.observe import serve_metrics


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_check_follows_the_process_own_judgement() -> None:
    well = True
    with serve_metrics(0, "127.0.0.1", lambda: well) as server:
        before = get(server.port, "/health-check")
        well = False
        after = get(server.port, "/health-check")

    assert before == (200, "OK")
    assert after == (503, "not alive")


def test_metrics_are_those_of_the_process() -> None:
    Counter("streams_test_observed", "Of this test").inc(3)

    with serve_metrics(0, "127.0.0.1", lambda: True) as server:
        status, text = get(server.port, "/metrics")
        missing, _ = get(server.port, "/")

    assert (status, missing) == (200, 404)
    assert "streams_test_observed_total 3.0" in text


def test_port_in_use_is_said_in_one_line() -> None:
    with (
        serve_metrics(0, "127.0.0.1", lambda: True) as server,
        pytest.raises(ConfigurationError, match=f"127.0.0.1:{server.port}.*STREAMS_MAPPER_PORT"),
    ):
        serve_metrics(server.port, "127.0.0.1", lambda: True)
