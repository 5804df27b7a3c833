"""What became of the demo's events, counted where it is written down: in the topics, the ledger and the tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.kafka.codec import batch_codec, dead_letter_codec, rows_codec
from app.kafka.names import Names
from app.kafka.reader import read_to_end
from app.model.ledger import BatchRecord, Phase
from app.model.receiver import Export
from app.model.rows import Source
from app.settings import Settings
from app.sink.windows import new_rows


@dataclass(slots=True)
class Counts:
    """Of one export: rows and failures mapped (repeats left out), dead letters published, rows of finished imports."""

    mapped: int = 0
    failed: int = 0
    dead_letters: int = 0
    imported: int = 0
    imports: int = 0
    marks: dict[Source, int] = field(default_factory=dict)


def count_exports(settings: Settings, exports: list[Export]) -> dict[str, Counts]:
    """Counts by export id, read from Kafka from the start. Blocking; some seconds for a million rows."""
    names = Names(settings.topic_prefix)
    by_uid = {export.uid: Counts() for export in exports}
    for partition in {export.rows_partition for export in exports}:
        _count_rows(settings, names.rows, partition, by_uid)
        _count_imports(settings, names.ledger, partition, by_uid)
    for partition in range(settings.dead_letter_partitions):
        for message in read_to_end(settings, names.dead_letters, partition):
            counts = by_uid.get(dead_letter_codec.decode(message.value() or b"").export_uid)
            if counts is not None:
                counts.dead_letters += 1
    return {export.export_id: by_uid[export.uid] for export in exports}


def _count_rows(settings: Settings, topic: str, partition: int, by_uid: dict[str, Counts]) -> None:
    for message in read_to_end(settings, topic, partition):
        rows = rows_codec.decode(message.value() or b"")
        counts = by_uid.get(rows.export_uid)
        if counts is None:
            continue
        mark = counts.marks.get(rows.source, rows.base)
        new = new_rows(rows, mark)
        counts.mapped += new.count if new else 0
        counts.failed += sum(failure.offset >= mark for failure in rows.failures)
        counts.marks[rows.source] = max(mark, rows.end)


def _count_imports(settings: Settings, topic: str, partition: int, by_uid: dict[str, Counts]) -> None:
    batches: dict[bytes | str, BatchRecord] = {}
    for message in read_to_end(settings, topic, partition):
        key, value = message.key() or b"", message.value()
        if value is not None and b"/" in key:
            batches[key] = batch_codec.decode(value)
    for batch in batches.values():
        counts = by_uid.get(batch.export_uid)
        if counts is not None and batch.phase is Phase.IMPORTED:
            counts.imported += batch.count
            counts.imports += 1
