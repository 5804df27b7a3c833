"""The dead letters of one export, read from the topic that all exports share.

An export's letters are all in one partition, the one of its key, so the others are not read. Nothing is indexed: a page
is found by reading that partition backwards, within a budget, and says where the next one goes on. Blocking; a consumer
lives as long as one call.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from app.kafka.backwards import Block, Budget, Stored, read_backwards
from app.kafka.client import partition_of_key
from app.kafka.codec import CodecError, dead_letter_codec
from app.kafka.names import Names
from app.kafka.short_reads import ShortReads
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.receiver import Export, entity_key
from app.settings import Settings

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters of an export: published at or after `since_ms` and before `until_ms` (broker's time), at offsets
    below `before`, of this reason; at most `limit`, the newest.
    """

    limit: int
    reason: Reason | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class PublishedLetter:
    """A letter, where it lies and when the broker took it."""

    partition: int
    offset: int
    published_ms: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class LetterPage:
    """Letters, newest first. There may be more below offset `before` of the partition; None: there are no more."""

    partition: int
    letters: list[PublishedLetter]
    before: int | None


def letter_key(project_id: str, receiver_id: str, export_id: str) -> str:
    """The key of an export's letters; one made again under the same name has the same, and another uid."""
    return entity_key(project_id, receiver_id, export_id)


def take_page(blocks: Iterable[Block], partition: int, first: int, uid: str, selection: Selection) -> LetterPage:
    """The newest letters of the export `uid` in these blocks (newest first) of offsets from `first` on. Pure.

    Not one block more is asked for than is needed.
    """
    found: list[PublishedLetter] = []
    unknown: list[int] = []
    reached = first
    for offset, record in _backwards(blocks):
        reached = offset
        if record is None:
            continue
        try:
            letter = dead_letter_codec.decode(record.value)
        except CodecError:
            unknown.append(record.offset)
            continue
        if letter.export_uid == uid and _is_selected(record, letter, selection):
            found.append(PublishedLetter(partition, record.offset, record.time_ms, letter))
            if len(found) == selection.limit:
                break
    if unknown:
        text = "partition %d has %d dead letters that this version cannot read, the last at offset %d"
        _log.error(text, partition, len(unknown), unknown[0])
    return LetterPage(partition, found, reached if reached > first else None)


def _backwards(blocks: Iterable[Block]) -> Iterator[tuple[int, Stored | None]]:
    """Each record, the newest first, and at the end of each block None; with the offset down to which all is read."""
    for block in blocks:
        yield from ((record.offset, record) for record in reversed(block.records))
        yield block.first, None


def _is_selected(record: Stored, letter: DeadLetter, selection: Selection) -> bool:
    return (
        selection.reason in (None, letter.event.reason)
        and (selection.since_ms is None or record.time_ms >= selection.since_ms)
        and (selection.until_ms is None or record.time_ms < selection.until_ms)
    )


class DeadLetterReader:
    """Reads the letters of exports; may be used by several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._topic = Names(settings.topic_prefix).dead_letters
        self._reads = ShortReads(settings, self._topic)

    def page(self, export: Export, selection: Selection, partition: int | None = None) -> LetterPage:
        """The letters selected, or those of them that were met before the budget was spent.

        `partition` is where the page before was; raises ValueError when the export's letters are elsewhere, and
        KafkaUnavailable.
        """
        budget = self._reads.budget()
        key = letter_key(export.project_id, export.receiver_id, export.export_id)
        wanted = key.encode()

        def is_of_export(message: Message) -> bool:
            return message.key() == wanted

        with self._reads.consumer() as consumer:
            place = self._place(consumer, key, budget)
            if partition not in (None, place.partition):
                raise ValueError(f"The letters of {key} are in partition {place.partition}.")
            first, end = self._range(consumer, place, selection, budget)
            blocks = read_backwards(consumer, place, first, end, is_of_export, budget)
            return take_page(blocks, place.partition, first, export.uid, selection)

    def find(self, export: Export, partition: int, offset: int) -> PublishedLetter | None:
        """The export's letter at this place; None when there is none, or another export's.

        Raises KafkaUnavailable.
        """
        budget = self._reads.budget()
        with self._reads.consumer() as consumer:
            key = letter_key(export.project_id, export.receiver_id, export.export_id)
            place = self._place(consumer, key, budget)
            if partition != place.partition:
                return None
            first, end = self._range(consumer, place, Selection(1, before=offset + 1), budget)
            if not first <= offset < end:
                return None
            blocks = read_backwards(consumer, place, offset, end, lambda message: True, budget)
            page = take_page(blocks, partition, offset, export.uid, Selection(1))
            return page.letters[0] if page.letters else None

    def _place(self, consumer: Consumer, key: str, budget: Budget) -> TopicPartition:
        return TopicPartition(self._topic, partition_of_key(key, self._reads.partitions(consumer, budget)))

    def _range(
        self, consumer: Consumer, place: TopicPartition, selection: Selection, budget: Budget
    ) -> tuple[int, int]:
        """The first offset to look at, and the one after the last; a time that nothing is as new as is the end."""
        low, high = self._reads.ends(consumer, place, budget)

        def offset_at(time_ms: int) -> int:
            (found,) = consumer.offsets_for_times(
                [TopicPartition(place.topic, place.partition, max(0, time_ms))], budget.seconds_left
            )
            if found.error is not None:
                raise KafkaException(found.error)
            return high if found.offset < 0 else found.offset

        since, until = selection.since_ms, selection.until_ms
        first = low if since is None else max(low, self._reads.ask(consumer, lambda: offset_at(since), budget))
        end = high if until is None else self._reads.ask(consumer, lambda: offset_at(until), budget)
        return first, end if selection.before is None else min(end, selection.before)
