"""The batches of one export, read from the sink's ledger.

The ledger is compacted and has no index: its partition is read backwards, within a budget, and the first record of a
batch that is met is its newest. So whatever is found is right, and old batches may not be. Blocking; a consumer lives
as long as one call.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import Message, TopicPartition

from app.kafka.backwards import Block, read_backwards
from app.kafka.codec import CodecError, batch_codec
from app.kafka.names import Names
from app.kafka.short_reads import ShortReads
from app.model.ledger import BatchRecord
from app.model.receiver import Export
from app.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundBatches:
    """Batches, newest first. `is_complete`: the ledger has no others of the export."""

    batches: list[BatchRecord]
    is_complete: bool


def take_batches(blocks: Iterable[Block], first: int, *, wanted: str | None = None) -> FoundBatches:
    """The newest record of each batch in these blocks (newest first) of offsets from `first` on. Pure.

    With `wanted` (a batch's id) no block is asked for after the one that has it. A batch that was forgotten is left
    out.
    """
    found: dict[str, BatchRecord | None] = {}
    reached: int | None = None
    for block in blocks:
        reached = block.first
        for record in reversed(block.records):
            batch_id = record.key.decode().partition("/")[2]
            if batch_id and batch_id not in found:
                found[batch_id] = _decoded(batch_id, record.value)
        if wanted in found:
            break
    batches = sorted((one for one in found.values() if one is not None), key=lambda one: one.batch_id, reverse=True)
    return FoundBatches(batches, reached is None or reached <= first)


def _decoded(batch_id: str, value: bytes) -> BatchRecord | None:
    """None for a tombstone, and for what this version cannot read."""
    if not value:
        return None
    try:
        return batch_codec.decode(value)
    except CodecError as error:
        _log.error("batch %s cannot be shown: %s", batch_id, error)
        return None


class BatchReader:
    """Reads the batches of exports; may be used by several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._topic = Names(settings.topic_prefix).ledger
        self._reads = ShortReads(settings, self._topic)

    def read(self, export: Export) -> FoundBatches:
        """All batches of the export, or those that were met before the budget was spent. Raises KafkaUnavailable."""
        return self._read(export, f"{export.uid}/".encode(), None)

    def find(self, export: Export, batch_id: str) -> BatchRecord | None:
        """The batch with this id; None when there is none. Raises KafkaUnavailable."""
        found = self._read(export, f"{export.uid}/{batch_id}".encode(), batch_id)
        return next((batch for batch in found.batches if batch.batch_id == batch_id), None)

    def _read(self, export: Export, prefix: bytes, wanted: str | None) -> FoundBatches:
        def is_wanted(message: Message) -> bool:
            return (message.key() or b"").startswith(prefix)

        budget = self._reads.budget()
        with self._reads.consumer() as consumer:
            place = TopicPartition(self._topic, export.rows_partition)
            self._reads.partitions(consumer, budget)
            first, end = self._reads.ends(consumer, place, budget)
            blocks = read_backwards(consumer, place, first, end, is_wanted, budget)
            return take_batches(blocks, first, wanted=wanted)
