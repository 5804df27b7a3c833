"""The dead letters of the local stack, for a person who asks why an event is in no table."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from app.kafka.codec import dead_letter_codec
from app.kafka.names import Names
from app.kafka.reader import read_to_end
from app.model.dead_letter import DeadLetter
from app.settings import Settings

_BODY_CHARACTERS = 60


def last_dead_letters(settings: Settings, receiver_id: str | None, limit: int) -> tuple[int, list[DeadLetter]]:
    """How many there are (of this receiver), and the last `limit` of them, newest first. Blocking."""
    found = [
        letter
        for partition in range(settings.dead_letter_partitions)
        for message in read_to_end(settings, Names(settings.topic_prefix).dead_letters, partition)
        for letter in [dead_letter_codec.decode(message.value() or b"")]
        if receiver_id in (None, letter.receiver_id)
    ]
    found.sort(key=lambda letter: letter.published_ms, reverse=True)
    return len(found), found[:limit]


def dead_letter_table(letters: list[DeadLetter]) -> Table:
    """One line each: which export, why, in which column, and the beginning of the body."""
    table = Table("export", "reason", "column", "message", "body", header_style="bold")
    for letter in letters:
        event = letter.event
        body = (event.body or b"").decode("utf-8", "replace")[:_BODY_CHARACTERS]
        export = f"{letter.receiver_id}/{letter.export_id}"
        table.add_row(*(Text(cell) for cell in (export, event.reason, event.column or "", event.message, body)))
    return table
