"""What a person reads when the broker does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.local.kafka.diagnosis import why_it_failed


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def reason(log: Path, printed: str = "", logged: str = "", logged_before: str = "") -> str:
    console = log.with_name("console.log")
    console.write_text(printed)
    log.write_text(logged_before + logged)
    return why_it_failed(console, log, len(logged_before), Path("/data"))


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("java.io.IOException: No space left on device", "the disk is full: free some space below /data"),
        ("java.nio.file.FileSystemException: Read-only file system", "the disk is read-only: /data must be writable"),
        ("java.nio.file.AccessDeniedException: /data/x", "it may not write to /data: mend the permissions"),
        ("java.net.BindException: Address already in use", "one of Kafka's ports is in use"),
        ("Failed to acquire lock on file .lock in /data", "another Kafka uses /data: stop it first"),
        ("Could not reserve enough space for 524288KB object heap", "there is not enough memory for its heap"),
        ("java.lang.UnsupportedClassVersionError: kafka/Kafka", "this Java is too old"),
    ],
)
def test_known_trouble_is_one_line_that_says_what_to_do(log: Path, said: str, meaning: str) -> None:
    line = reason(log, logged=f"INFO starting\n{said}\n\tat kafka.Kafka.main\n")

    assert line.startswith(f"Kafka did not start: {meaning}")
    assert line.endswith(f"(log: {log}).")
    assert "\n" not in line


def test_what_java_prints_counts_too(log: Path) -> None:
    assert "the disk is full" in reason(log, printed="No space left on device")


def test_trouble_of_an_earlier_start_is_not_blamed(log: Path) -> None:
    line = reason(log, logged_before="No space left on device\n", logged="ERROR A new trouble (Kafka$)\n")

    assert line.startswith("Kafka did not start: ERROR A new trouble (Kafka$)")


def test_log_that_was_rotated_since_is_read_from_its_beginning(log: Path) -> None:
    log.with_name("console.log").touch()
    log.write_text("No space left on device\n")

    assert "the disk is full" in why_it_failed(log.with_name("console.log"), log, 10_000, Path("/data"))


def test_unknown_end_without_a_word_still_names_the_log(log: Path) -> None:
    assert reason(log) == f"Kafka did not start: it ended without a word (log: {log})."
