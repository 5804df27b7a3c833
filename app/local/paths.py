"""Where set-up puts what the local stack is made of: below `.local/` of the project, which git ignores."""

from __future__ import annotations

from pathlib import Path

KAFKA = Path(__file__).resolve().parents[2] / ".local" / "kafka"
"""Kafka's jars (`lib/`) and the archive of their classes. The stack's data is elsewhere: STREAMS_LOCAL_DIR."""
