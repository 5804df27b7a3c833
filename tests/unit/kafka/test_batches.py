"""Which records of a ledger are an export's batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batches import batch
from letters import some_export

from app.kafka.backwards import Block, Stored
from app.kafka.batches import take_batches
from app.kafka.codec import batch_codec
from app.model.ledger import BatchRecord, Phase

EXPORT = some_export("e")
FIRST, SECOND = batch(EXPORT, "b1"), batch(EXPORT, "b2")


def stored(offset: int, record: BatchRecord) -> Stored:
    return Stored(offset, 0, batch_codec.encode(record), f"uid/{record.batch_id}".encode())


def tombstone(offset: int, batch_id: str) -> Stored:
    return Stored(offset, 0, b"", f"uid/{batch_id}".encode())


def test_newest_record_of_each_batch_counts_and_the_newest_batch_comes_first() -> None:
    imported = replace(FIRST, phase=Phase.IMPORTED)
    blocks = [Block(2, [stored(2, SECOND), stored(3, imported)]), Block(0, [stored(0, FIRST), stored(1, SECOND)])]

    found = take_batches(blocks, 0)

    assert (found.batches, found.is_complete) == ([SECOND, imported], True)


def test_forgotten_batch_is_left_out_also_where_an_older_record_is_met() -> None:
    found = take_batches([Block(0, [stored(0, FIRST), tombstone(1, "b1"), stored(2, SECOND)])], 0)

    assert found.batches == [SECOND]


def test_what_was_not_read_to_its_beginning_is_not_complete() -> None:
    assert not take_batches([Block(5, [stored(5, FIRST)])], 0).is_complete


def test_empty_ledger_is_complete() -> None:
    assert take_batches([], 0).is_complete


def test_no_block_is_asked_for_after_the_wanted_batch() -> None:
    def blocks() -> Iterator[Block]:
        yield Block(5, [stored(5, FIRST)])
        raise AssertionError("asked for more")

    assert take_batches(blocks(), 0, wanted="b1").batches == [FIRST]


def test_record_that_cannot_be_read_hides_no_other() -> None:
    broken = Stored(1, 0, b"what is this", b"uid/b3")

    assert take_batches([Block(0, [stored(0, FIRST), broken])], 0).batches == [FIRST]
