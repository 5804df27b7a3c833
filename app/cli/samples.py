"""Sample events for dry runs: files of bodies, and the headers that a sender would send with them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.cli.files import BadFile

_LINES = (".ndjson", ".jsonl")

Header = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", help='A header of the events, such as "X-Shop: 1".', show_default=False),
]
ContentType = Annotated[
    str | None,
    typer.Option(
        help="Content-Type of the events; without it that of NDJSON for .ndjson and .jsonl files, none for others.",
        show_default=False,
    ),
]


def read_body(path: str) -> bytes:
    """The body in a file ("-" is standard input). Raises BadFile."""
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise BadFile(f"{path}: {error.strerror}.") from error


def headers_for(path: str, given: Sequence[str], content_type: str | None) -> dict[str, str]:
    """Headers of the events in this file by name. Raises BadFile for one that is no header."""
    headers: dict[str, str] = {}
    if content_type is not None:
        headers["Content-Type"] = content_type
    elif path.endswith(_LINES):
        headers["Content-Type"] = "application/x-ndjson"
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise BadFile(f'"{text}" is no header: it must be "Name: value".')
        headers[name.strip()] = value.strip()
    return headers
