"""The small rules of supervision: back-off, ports, logs."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from app.local import parts
from app.local.parts import PartPort, ProcessPart
from app.local.ports import free_port, is_free, require_free
from app.local.stack import backoff_seconds
from app.local.up import stop_seconds
from app.model.errors import ConfigurationError
from app.settings import Settings


def test_processes_with_the_same_seed_draw_different_ports() -> None:
    drawn = []
    for _ in range(2):
        random.seed(1)
        drawn.append([free_port() for _ in range(5)])

    assert drawn[0] != drawn[1]


def test_first_failure_is_mended_at_once_and_later_ones_ever_more_slowly() -> None:
    pauses = [backoff_seconds(failures) for failures in range(1, 10)]

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_port_that_is_listened_on_is_not_free() -> None:
    port = free_port()
    assert is_free(port)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()

        assert not is_free(port)
        with pytest.raises(ConfigurationError, match=rf"^Port {port} is in use, and the sink needs it: .* with X\.$"):
            require_free("the sink", port, "X")


@pytest.fixture
def part(tmp_path: Path) -> ProcessPart:
    return ProcessPart(
        "sink",
        ["true"],
        ports=[PartPort(1, "X")],
        ready_path="/",
        environment={},
        log_file=tmp_path / "sink.log",
    )


def test_log_past_its_limit_goes_on_empty_and_keeps_the_last(
    part: ProcessPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "LOG_LIMIT_BYTES", 10)
    with part.log_file.open("ab") as child:
        child.write(b"0123456789")
        child.flush()
        part.rotate_log()
        assert part.log_file.read_bytes() == b"0123456789"

        child.write(b"a")
        child.flush()
        part.rotate_log()
        child.write(b"later")

    assert part.log_file.read_bytes() == b"later"
    assert part.log_file.with_name("sink.log.1").read_bytes() == b"0123456789a"


def test_gateway_that_waits_for_requests_and_then_for_kafka_is_not_killed_meanwhile() -> None:
    settings = Settings(_env_file=None, graceful_stop_seconds=30)  # type: ignore[call-arg]  # pydantic-settings' own

    assert stop_seconds(settings) > 2 * 30
