"""schemathesis over the OpenAPI document, against the whole API: no 5xx, no answer outside the document.

`make test` runs a bounded form that begins with the same seed; `make fuzz` goes on for FUZZ_SECONDS, with values of its
own each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from buffer_stack import DEADLINE_SECONDS

from app.local.storage.config import MASTER_TOKEN

HERE = Path(__file__).parent
SECONDS = os.environ.get("FUZZ_SECONDS")
BOUNDED = ["--max-examples", "2", "--seed", "1"]


@pytest.fixture
def receiver_url(address: str) -> str:
    """Of a receiver without exports."""
    headers = {"X-StorageApi-Token": MASTER_TOKEN}
    with httpx.Client(base_url=address, headers=headers, timeout=DEADLINE_SECONDS) as client:
        task = client.post("/v1/receivers", json={"name": "Fuzz"}).json()
        while not (task := client.get(task["url"]).json())["isFinished"]:
            time.sleep(0.02)
        url: str = client.get("/v1/receivers/fuzz").json()["url"]
    return url


def test_no_answer_is_outside_the_document(address: str, receiver_url: str, tmp_path: Path) -> None:
    *_, receiver_id, secret = receiver_url.split("/")
    amount = ["--max-time", SECONDS] if SECONDS else BOUNDED
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    given = {"STORAGE_TOKEN": MASTER_TOKEN, "RECEIVER_ID": receiver_id, "RECEIVER_SECRET": secret}

    done = subprocess.run(
        [*command, f"{address}/v1/documentation/openapi3.json", *amount],
        env={**os.environ, **given, "PYTHONPATH": str(HERE)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    sys.stdout.write(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
