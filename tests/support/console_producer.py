"""The console producer of the Kafka distribution (`kafka-console-producer.sh`)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from app.local.kafka.diagnosis import java_executable

LOCAL = Path(__file__).resolve().parents[2] / ".local"
PATIENCE = {"request.timeout.ms": 60_000, "delivery.timeout.ms": 300_000, "retries": 2_147_483_647}
"""Its own defaults give a record up after 1.5 s and three times, which is too soon on a busy machine."""
DEADLINE_SECONDS = 600


def produce_lines(kafka: str, topic: str, lines: Iterable[str]) -> None:
    """Each line is the value of a record. Returns when the broker has acknowledged them.

    The producer ends with 0 whatever became of the records, and says what went wrong on its standard error.
    """
    assert any((LOCAL / "tools").glob("kafka-tools-*.jar")), "Kafka's tools are missing: run `make test-long`"
    command = [
        *(java_executable(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-cp", f"{LOCAL / 'tools'}/*:{LOCAL / 'kafka' / 'lib'}/*", "org.apache.kafka.tools.ConsoleProducer"),
        *("--bootstrap-server", kafka, "--topic", topic),
    ]
    for name, value in PATIENCE.items():
        command += ["--producer-property", f"{name}={value}"]
    given = "".join(f"{line}\n" for line in lines).encode()
    environment = {**os.environ, "JAVA_TOOL_OPTIONS": ""}
    ended = subprocess.run(command, input=given, capture_output=True, timeout=DEADLINE_SECONDS, env=environment)
    said = (ended.stdout + ended.stderr).decode(errors="replace")
    assert ended.returncode == 0, said
    assert "Error when sending" not in said, said
