"""The source of a requeue: letters in pieces that are mapped together, and events that were too big for their letters.

Such an event is read from where it lies, alone, so that no more than one is in memory. Where it is not any more, the
letter becomes a letter again and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.kafka.codec import CodecError, dead_letter_codec
from app.kafka.events import to_batch
from app.kafka.ranges import RangeReader
from app.kafka.requeue import LetterAt, events_of
from app.mapper.topic_ids import TopicIds
from app.model.dead_letter import DeadLetter
from app.model.errors import KafkaUnavailable
from app.model.event import EventBatch
from app.model.rows import FailedEvent, Rows, Source
from app.settings import Settings

_MOST_STEPS = 10
"""From a letter to the letter that it was before, and so on; each is one requeue."""
_GONE = "the event was too large for its dead letter and is gone from its topic, so it cannot be mapped again; it was"


@dataclass(frozen=True, slots=True)
class Piece:
    """Letters that are mapped together. It speaks for the offsets from `base` to before `end`."""

    base: int
    end: int
    letters: Sequence[LetterAt]

    @property
    def is_big(self) -> bool:
        """Whether it is one event that has to be read from where it lies."""
        return len(self.letters) == 1 and self.letters[0].letter.event.body is None


def pieces(letters: Sequence[LetterAt], base: int, end: int) -> list[Piece]:
    """At least one; each event that is not in its letter is one of its own. Pure."""
    found: list[Piece] = []
    part: list[LetterAt] = []
    for one in letters:
        if one.letter.event.body is not None:
            part.append(one)
            continue
        if part:
            found.append(Piece(base, one.offset, part))
            base, part = one.offset, []
        found.append(Piece(base, one.offset + 1, [one]))
        base = one.offset + 1
    if part or base < end or not found:
        found.append(Piece(base, end, part))
    return found


async def find_event(settings: Settings, topic_ids: TopicIds, at: LetterAt, group: str) -> EventBatch | None:
    """The event of a letter without a body, at the letter's offset; None when it is gone. Raises KafkaUnavailable."""
    letter = at.letter
    for _ in range(_MOST_STEPS):
        place, offset = letter.source, letter.event.offset
        if await topic_ids.is_gone(letter.event.topic, place.topic_id):
            return None
        reader = RangeReader(settings, letter.event.topic, place.partition, offset + 1, group)
        try:
            block = await reader.read(offset, 1)
        finally:
            reader.close()
        if block.next_offset == offset:
            raise KafkaUnavailable(f"Kafka sent nothing of {letter.event.topic}/{place.partition}.")
        if not block.records or block.records[0].offset != offset:
            return None
        earlier = _as_letter(block.records[0].value, letter)
        if earlier is None:
            batch = to_batch(block.records, place.topic_id, place.partition, ids=True)
            return replace(batch, offsets=[at.offset]) if len(batch) else None
        if earlier.event.body is not None:
            return events_of([LetterAt(at.offset, earlier)])
        letter = earlier
    return None


def lost_event(export_uid: str, revision: int, source: Source, topic: str, piece: Piece) -> Rows:
    """The envelope of a big event that is gone: the letter once more."""
    ((offset, letter),) = piece.letters
    event: FailedEvent = replace(letter.event, offset=offset, topic=topic, message=f"{_GONE}: {letter.event.message}")
    skipped = piece.end - piece.base - 1
    return Rows(export_uid, revision, source, piece.base, piece.end, [], 0, b"", [event], skipped)


def _as_letter(value: bytes | None, of: DeadLetter) -> DeadLetter | None:
    """The letter that these bytes are; None when they are an event."""
    try:
        letter = dead_letter_codec.decode(value or b"")
    except CodecError:
        return None
    return letter if letter.export_uid == of.export_uid else None
