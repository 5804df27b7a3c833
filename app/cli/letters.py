"""Dead letters for people: as a table and one by one. What is in them came from anybody, so nothing of it is obeyed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from app.cli.terminal import printable
from app.model.conditions import parse_time
from app.model.errors import BadRequest

_MESSAGE_CHARACTERS, _BODY_CHARACTERS = 80, 60
_AGE = re.compile(r"(?:(\d+)d)?((?:[\d.]+[hms])*)", re.ASCII)


def moment(text: str | None, now: datetime | None = None) -> str | None:
    """A time as the API takes it: an age such as "2h", "1h30m" or "2d" is counted back from now; else as it is given.

    >>> moment("1d2h", datetime(2026, 1, 3, 12, tzinfo=UTC))
    '2026-01-02T10:00:00Z'
    """
    found = _AGE.fullmatch(text) if text else None
    if text is None or not found:
        return text
    try:
        age = timedelta(days=int(found[1] or 0), seconds=parse_time(found[2]) if found[2] else 0)
        return ((now or datetime.now(UTC)) - age).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise BadRequest(f'The age "{text[:20]}" reaches back too far.') from None


def letters_table(letters: list[dict[str, Any]]) -> Table:
    """One line each: when, why, in which column, and the beginning of the body."""
    table = Table("id", "published", "reason", "column", "message", "body", box=None, header_style="bold")
    for letter in letters:
        event = letter["event"]
        cells = [letter["id"], letter["publishedAt"], letter["reason"], letter.get("column", "")]
        message = _shortened(letter["message"], _MESSAGE_CHARACTERS)
        table.add_row(*(Text(printable(cell)) for cell in cells), message, _shortened(_body(event), _BODY_CHARACTERS))
    return table


def letter_view(letter: Mapping[str, Any]) -> RenderableType:
    """The letter, then the event's headers, then its body."""
    event, source = letter["event"], letter["source"]
    place = f"partition {source['partition']}, offset {source['offset']}, lane {source['lane']}"
    facts = {
        "id": letter["id"],
        "reason": letter["reason"],
        "column": letter.get("column", ""),
        "message": letter["message"],
        "revision": str(letter["revision"]),
        "received": letter["receivedAt"],
        "published": letter["publishedAt"],
        "event": event["id"],
        "ip": event["ip"],
        "source": f"{source['topic']}, {place}",
        "topic id": source["topicId"],
    }
    table = Table(Column(style="bold"), Column(overflow="fold"), box=None, show_header=False)
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(printable(value, lines=True)))
    headers = Table("header", Column("value", overflow="fold"), box=None, header_style="bold")
    for header in event["headers"]:
        value = header["value"] if header["encoding"] == "utf-8" else f"base64: {header['value']}"
        headers.add_row(Text(printable(header["name"])), Text(printable(value)))
    size = f" ({event['bodySize']:,} bytes)" if "bodySize" in event else ""
    parts: list[RenderableType] = [table, Text()]
    if event["headers"]:
        parts += [headers, Text()]
    return Group(*parts, Text(f"body{size}", style="bold"), Text(printable(_body(event), lines=True)))


def _body(event: Mapping[str, Any]) -> str:
    if "body" not in event:
        return "(too large to be copied: it lies in its topic)"
    text: str = event["body"]
    return text if event["bodyEncoding"] == "utf-8" else f"base64: {text}"


def _shortened(text: str, characters: int) -> Text:
    shown = printable(text[:characters])
    return Text(f"{shown}…" if len(text) > characters else shown)
