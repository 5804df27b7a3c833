"""Liveness and metrics over HTTP."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client import Counter

from app.model.errors import ConfigurationError
from app.observe import serve_metrics
from app.observe.pulse import Patience, watched_loop


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_check_follows_the_process_own_judgement() -> None:
    well = True
    with serve_metrics(0, "127.0.0.1", lambda: well, lambda: None) as server:
        before = get(server.port, "/health-check")
        well = False
        after = get(server.port, "/health-check")

    assert before == (200, "OK")
    assert after == (503, "not alive")


def test_readiness_is_another_thing_than_liveness_and_says_why_not() -> None:
    why_not: str | None = "Not ready: Kafka has not answered yet."
    with serve_metrics(0, "127.0.0.1", lambda: True, lambda: why_not) as server:
        before = get(server.port, "/ready")
        why_not = None
        after = get(server.port, "/ready")
        alive = get(server.port, "/health-check")

    assert before == (503, "Not ready: Kafka has not answered yet.")
    assert after == (200, "OK")
    assert alive == (200, "OK")


async def test_loop_that_stands_still_ends_the_process_after_its_time() -> None:
    ended = threading.Event()

    with watched_loop(0.1, lambda _why: ended.set()):
        was_ended = ended.wait(30)  # blocks the loop: that is the point

    assert was_ended


@pytest.mark.parametrize(
    ("looks", "over"),
    [
        ([(True, 0), (True, 5)], False),
        ([(True, 0), (True, 5), (True, 6)], True),
        ([(True, 0), (True, 4), (False, 5), (True, 6)], False),
        ([(True, 1000)], False),
        ([(True, 0), (True, 1000)], False),
    ],
    ids=["not yet", "for too long", "it passed meanwhile", "seen once", "frozen meanwhile"],
)
def test_patience_is_over_when_it_was_wrong_at_every_look(looks: list[tuple[bool, float]], over: bool) -> None:
    patience = Patience(5, every_seconds=1.25)

    seen = [patience.is_over(wrong, now) for wrong, now in looks]

    assert seen[-1] is over


def test_metrics_are_those_of_the_process() -> None:
    Counter("streams_test_observed", "Of this test").inc(3)

    with serve_metrics(0, "127.0.0.1", lambda: True, lambda: None) as server:
        status, text = get(server.port, "/metrics")
        missing, _ = get(server.port, "/")

    assert (status, missing) == (200, 404)
    assert "streams_test_observed_total 3.0" in text


def test_port_in_use_is_said_in_one_line() -> None:
    with (
        serve_metrics(0, "127.0.0.1", lambda: True, lambda: None) as server,
        pytest.raises(ConfigurationError, match=f"127.0.0.1:{server.port}.*STREAMS_MAPPER_PORT"),
    ):
        serve_metrics(server.port, "127.0.0.1", lambda: True, lambda: None)
