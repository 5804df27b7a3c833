"""Calls to Storage and what may go wrong with them: rules for the emulator, and how a task tells them."""

from __future__ import annotations

from typing import Any

import pytest

from app.local.storage import Emulator

LOOK_AT_BUCKET = ("GET", r"storage/buckets/[^/]+$")
LOOK_AT_TABLE = ("GET", r"storage/tables/[^/]+$")
LOOK_AT_TOKENS = ("GET", r"storage/tokens$")
CREATE_BUCKET = ("POST", r"storage/buckets$")
CREATE_TOKEN = ("POST", r"storage/tokens$")
CREATE_TABLE = ("POST", r"tables-definition$")
REFRESH_TOKEN = ("POST", r"storage/tokens/[0-9]+/refresh$")
DELETE_TOKEN = ("DELETE", r"storage/tokens/[0-9]+$")
CHANGES = (CREATE_BUCKET, CREATE_TOKEN, CREATE_TABLE)
CALLS = {
    LOOK_AT_BUCKET: 'show the bucket "in.c-{name}"',
    LOOK_AT_TOKENS: "list the project's tokens",
    CREATE_BUCKET: 'create the bucket "in.c-{name}"',
    LOOK_AT_TABLE: 'show the table "in.c-{name}.t"',
    CREATE_TOKEN: 'create the token of the export "e" for the bucket "in.c-{name}"',
    CREATE_TABLE: 'create the table "in.c-{name}.t"',
}
"""What a task calls that makes an export in a bucket that is not there, in this order, and how it is told."""
SILENT_SECONDS = 600.0
BEYOND: dict[str, Any] = {"status": 503, "retry_after": 600}
"""Storage asks for more time than a task has."""
LATER = pytest.param({"status": 429, "retry_after": 1}, id="429")
BROKEN = pytest.param({"status": 500}, id="500")
BROKEN_AFTER = pytest.param({"effect": "status_after", "status": 504}, id="504 after the effect")
SILENT = pytest.param({"effect": "delay", "seconds": SILENT_SECONDS}, id="silence")
SILENT_AFTER = pytest.param({"effect": "delay_after", "seconds": SILENT_SECONDS}, id="silence after the effect")
RESET_AFTER = pytest.param({"effect": "reset_after"}, id="reset after the effect")
PASSING = [LATER, BROKEN, BROKEN_AFTER, SILENT, SILENT_AFTER, RESET_AFTER]
REFUSALS = {
    400: "Storage refused to {call}: Injected failure.",
    401: "Storage no longer accepts the token that the task was started with: Injected failure.",
    403: "Storage refused to {call}: Injected failure.",
}


def fail(emulator: Emulator, call: tuple[str, str], effect: str = "status", **rule: Any) -> None:
    method, path = call
    emulator.fault(effect, method=method, path=path, **rule)
