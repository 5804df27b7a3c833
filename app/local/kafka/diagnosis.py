"""Why Kafka does not start, in one line that says what to do: is there a Java, and what did the broker say last?"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from app.model.errors import ConfigurationError

_JAVA = "Kafka needs Java 17 or newer: install a JDK (Debian: apt-get install default-jdk-headless) or set JAVA_HOME."

# What Java or Kafka says, and what it means for the person who started it.
_KNOWN = (
    (r"Address already in use", "one of Kafka's ports is in use: stop what listens there or choose other ports"),
    (r"No space left on device", "the disk is full: free some space below {data_dir}"),
    (r"Read-only file system", "the disk is read-only: {data_dir} must be writable"),
    (r"Permission denied|AccessDeniedException", "it may not write to {data_dir}: mend the permissions"),
    (r"Failed to acquire lock on file", "another Kafka uses {data_dir}: stop it first"),
    (r"UnsupportedClassVersionError", "this Java is too old. " + _JAVA),
    (r"OutOfMemoryError|Could not reserve enough space", "there is not enough memory for its heap"),
    (
        r"InconsistentClusterIdException|No readable meta.properties",
        "its data in {data_dir} is damaged: `make clean-local` forgets it",
    ),
)


def java_executable() -> str:
    """Path of `java`: JAVA_HOME's, else the first on PATH. Raises ConfigurationError when there is none."""
    home = os.environ.get("JAVA_HOME")
    candidate = Path(home, "bin", "java") if home else None
    if candidate and candidate.exists():
        return str(candidate)
    found = shutil.which("java")
    if found is None:
        raise ConfigurationError(_JAVA)
    return found


def why_it_failed(console: Path, log_file: Path, logged_before: int, data_dir: Path) -> str:
    """One line from the end of what the broker printed, and of what it logged after the first `logged_before` bytes."""
    said = _tail(console, 0) + _tail(log_file, logged_before)
    for pattern, meaning in _KNOWN:
        if re.search(pattern, said):
            return f"Kafka did not start: {meaning.format(data_dir=data_dir)} (log: {log_file})."
    errors = [line for line in said.splitlines() if re.search(r"\b(ERROR|FATAL|Error|Exception)\b", line)]
    reason = errors[-1].strip() if errors else "it ended without a word"
    return f"Kafka did not start: {reason} (log: {log_file})."


def _tail(path: Path, start: int, limit_bytes: int = 50_000) -> str:
    if not path.exists():
        return ""
    size = path.stat().st_size
    begin = start if start <= size else 0  # the log was rotated since
    with path.open("rb") as file:
        file.seek(max(begin, size - limit_bytes))
        return file.read().decode(errors="replace")
