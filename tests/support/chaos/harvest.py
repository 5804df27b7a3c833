"""What became of the events: records of the receivers' topics, rows of the tables, dead letters, the ledger.

Blocking; call it in a thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from app.kafka.codec import batch_codec, dead_letter_codec, state_codec
from app.kafka.names import Names
from app.kafka.reader import read_to_end
from app.local.storage import Emulator
from app.model.dead_letter import DeadLetter
from app.model.ledger import BatchRecord, ExportState, Phase
from app.model.receiver import LIVE_LANE, Export
from app.model.rows import Source
from app.settings import Settings
from chaos.exports import BUCKET, CHANGING, SHAPES, Shape

PROJECT = "1234"


@dataclass
class Stored:
    """What a receiver's topic has: how often each event, and the offset after the last record of each partition."""

    events: Counter[str] = field(default_factory=Counter)
    ends: dict[int, int] = field(default_factory=dict)


@dataclass
class Found:
    """What an export made: how often each event is a row and a letter; and bodies by event, as the table has them."""

    rows: Counter[str] = field(default_factory=Counter)
    letters: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    """Letters that are not of one event, in words."""


@dataclass
class LedgerContent:
    states: dict[str, ExportState] = field(default_factory=dict)
    batches: dict[str, dict[str, BatchRecord]] = field(default_factory=dict)


def read_stored(settings: Settings, receiver: str) -> Stored:
    """All that Kafka has of a receiver."""
    topic, found = Names(settings.topic_prefix).events(PROJECT, receiver), Stored()
    for partition in range(settings.receiver_partitions):
        found.ends[partition] = 0
        for message in read_to_end(settings, topic, partition):
            found.events[event_id(message.value() or b"")] += 1
            found.ends[partition] = (message.offset() or 0) + 1
    return found


def count_rows(emulator: Emulator) -> dict[str, int]:
    """Rows of each table."""
    selects = [f'select \'{s.table}\', count(*) from "{BUCKET}"."{s.table}"' for s in SHAPES]
    return {table: int(count) for table, count in emulator.sql(" union all ".join(selects))}


def read_found(settings: Settings, emulator: Emulator) -> dict[str, Found]:
    """What each export made, by table."""
    found = {shape.table: _read_rows(emulator, shape) for shape in SHAPES}
    for letter in read_letters(settings):
        one = found[f"{letter.receiver_id}-{letter.export_id}"]
        try:
            one.letters[event_id(letter.event.body)] += 1
        except ValueError:
            one.others.append(f"{letter.event.reason}: {letter.event.message}")
    return found


def read_letters(settings: Settings) -> list[DeadLetter]:
    names = Names(settings.topic_prefix)
    return [
        dead_letter_codec.decode(message.value() or b"")
        for partition in range(settings.dead_letter_partitions)
        for message in read_to_end(settings, names.dead_letters, partition)
    ]


def read_ledger(settings: Settings) -> LedgerContent:
    content, topic = LedgerContent(), Names(settings.topic_prefix).ledger
    for partition in range(settings.rows_partitions):
        for message in read_to_end(settings, topic, partition):
            uid, _, batch_id = (message.key() or b"").decode().partition("/")  # type: ignore[union-attr]
            value = message.value()
            if batch_id and value is not None:
                content.batches.setdefault(uid, {})[batch_id] = batch_codec.decode(value)
            elif value is not None:
                content.states[uid] = state_codec.decode(value)
    return content


def unsettled(
    exports: Iterable[Export], topic_ids: Mapping[str, str], stored: Mapping[str, Stored], ledger: LedgerContent
) -> list[str]:
    """What is still under way, in words: events that the ledger does not cover, windows and batches that are open."""
    found = []
    for export in exports:
        name = f"{export.receiver_id}/{export.export_id}"
        state = ledger.states.get(export.uid, ExportState(export.uid))
        for partition, end in stored[export.receiver_id].ends.items():
            source = Source(topic_ids[export.receiver_id], partition, LIVE_LANE)
            if (mark := state.next_offsets.get(source, 0)) < end:
                found.append(f"{name}: partition {partition} is staged to {mark} of {end}")
        found += [f"{name}: window {w.batch_id} with {w.count} rows is open" for w in state.windows]
        found += [
            f"{name}: batch {b.batch_id} is {b.phase}: {b.error or 'no error'}"
            for b in ledger.batches.get(export.uid, {}).values()
            if b.phase is not Phase.IMPORTED
        ]
    return found


def event_id(body: bytes) -> str:
    """Raises ValueError when it is none of ours."""
    try:
        return str(orjson.loads(body)["id"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError("not an event of a chaos run") from error


def _read_rows(emulator: Emulator, shape: Shape) -> Found:
    found = Found()
    label = "label" if shape is CHANGING else "'0'"
    for body, text in emulator.sql(f'select body, {label} from "{BUCKET}"."{shape.table}"'):
        row_id = event_id(body.encode())
        found.rows[row_id] += 1
        found.bodies[row_id] = body
        found.labels[row_id] = int(text.strip('"'))
    return found
