"""`streams gateway` as a process: what it loads, what it weighs, why it does not start."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_process import GatewayProcess

from app.gateway.process import serve
from app.model.cipher import Cipher
from app.model.errors import ConfigurationError
from app.settings import Settings


def test_gateway_at_rest_is_under_150_mb(gateway: GatewayProcess) -> None:
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()

    resident_kib = int(status.partition("VmRSS:")[2].split()[0])

    assert resident_kib < 150 * 1024


def test_what_only_other_processes_need_is_not_loaded() -> None:
    code = "import sys, app.gateway.process; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "app.gateway.lane" in loaded
    assert not {"boto3", "azure", "google", "pyarrow", "faust", "aiokafka", "duckdb"} & set(loaded)


async def test_port_that_is_taken_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own argument
            kafka_bootstrap_servers="127.0.0.1:1",
            encryption_key=[Cipher.new_key()],
            gateway_port=port,
        )

        with pytest.raises(ConfigurationError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*STREAMS_GATEWAY_PORT"):
            await serve(settings)


async def test_gateway_without_a_key_says_how_to_make_one() -> None:
    settings = Settings(_env_file=None, encryption_key=[])  # type: ignore[call-arg]  # pydantic-settings' own argument

    with pytest.raises(ConfigurationError, match=r"STREAMS_ENCRYPTION_KEY is not set"):
        await serve(settings)
