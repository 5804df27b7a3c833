"""More connections than the limit of open files allows."""

from __future__ import annotations

import time

import pytest

from app.gateway.lane import LINGER_SECONDS
from app.limits import connections_within

from .lane_stage import Stage, post


async def test_connection_too_many_is_answered_503_and_ended_and_the_others_go_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.lane.max_connections = 1
    first, second = stage.connect(), stage.connect()

    second.feed(post())
    first.feed(post())
    stage.publisher.report()

    assert [first.statuses, second.statuses] == [[200], [503]]
    assert b"retry-after: 2" in second.transport.written
    assert "Raise the limit" in caplog.text
    second.protocol.sweep(time.monotonic() + LINGER_SECONDS + 1)
    assert second.transport.is_closing()
    third = stage.connect()
    assert third.statuses == [503]


@pytest.mark.parametrize(("limit", "connections"), [(-1, 1_000_000), (1024, 960), (10, 1)])
def test_files_are_left_for_kafka(limit: int, connections: int) -> None:
    assert connections_within(limit) == connections
