"""Where the local stack keeps what it makes: all below `.local/` of the project, which git ignores."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
KAFKA = LOCAL / "kafka"
LOGS = LOCAL / "logs"
STORAGE = LOCAL / "storage"
STACK_FILE = LOCAL / "stack.json"
ENCRYPTION_KEY_FILE = LOCAL / "encryption.key"
