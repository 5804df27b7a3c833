"""Which dead letters a requeue is of, and the events that they are again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.kafka.codec import dead_letter_codec
from app.kafka.requeue import Criteria, LetterAt, events_of, wanted_letters
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.receiver import LIVE_LANE, Mapping, Revision
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.model.rows import FailedEvent, Source

KEY = b"1/r/e"
EVENT = FailedEvent(7, Reason.TEMPLATE_ERROR, "c", "no", "topic", 5, "id", "::1", [("A", b"1")], b"body")
LETTER = DeadLetter("1", "r", "e", "uid", 1, Source("t", 0, LIVE_LANE), EVENT, 9)


def requeue(number: int, first: int = 0, end: int = 100, **others: object) -> Replay:
    names = (f"lane-{number}", ReplayKind.REQUEUE, "1", "r", "e", "uid")
    revision = Revision(number, Mapping("in.c-b.t", ()), "1", b"", 0)
    ranges = (OffsetRange(2, first, end),)
    made = Replay(*names, revision, "topic", "letters", "letters-id", ranges, 0, b"")
    return replace(made, **others)  # type: ignore[arg-type]  # as given


REQUEUE = requeue(300_001)


@dataclass
class Stored:
    offset: int
    value: bytes | None
    key: bytes | None = KEY


def offsets(letters: list[DeadLetter], *earlier: Replay, of: Replay = REQUEUE) -> list[int]:
    """Offsets of those wanted; letters lie at 0, 1, ..."""
    records = [Stored(offset, dead_letter_codec.encode(letter)) for offset, letter in enumerate(letters)]
    return [offset for offset, _ in wanted_letters(records, Criteria.of(of, [*earlier, of]))]


def with_reason(reason: Reason) -> DeadLetter:
    return replace(LETTER, event=replace(EVENT, reason=reason))


def test_letters_of_another_export_are_left_out() -> None:
    assert offsets([replace(LETTER, export_uid="other"), LETTER]) == [1]


def test_letters_of_another_key_are_not_even_read() -> None:
    records = [Stored(0, b"not a letter", key=b"1/r/other"), Stored(1, dead_letter_codec.encode(LETTER))]

    assert wanted_letters(records, Criteria.of(REQUEUE, [REQUEUE])) == [LetterAt(1, LETTER)]


def test_letter_that_cannot_be_read_holds_nobody() -> None:
    records = [Stored(0, b"damaged"), Stored(1, None), Stored(2, dead_letter_codec.encode(LETTER))]

    assert wanted_letters(records, Criteria.of(REQUEUE, [REQUEUE])) == [LetterAt(2, LETTER)]


def test_letters_of_batches_are_no_events() -> None:
    assert offsets([with_reason(Reason.BATCH_EXPIRED), LETTER]) == [1]


def test_only_letters_with_the_reason_are_wanted() -> None:
    letters = [with_reason(Reason.TEMPLATE_TIMEOUT), LETTER]

    assert offsets(letters, of=replace(REQUEUE, reason=Reason.TEMPLATE_TIMEOUT)) == [0]


def test_letters_of_an_earlier_requeue_are_left_out() -> None:
    assert offsets([LETTER, LETTER, LETTER], requeue(100_001, 1, 2)) == [0, 2]


def test_earlier_requeue_of_one_reason_leaves_the_others() -> None:
    letters = [with_reason(Reason.TEMPLATE_TIMEOUT), LETTER]

    assert offsets(letters, requeue(100_001, reason=Reason.TEMPLATE_TIMEOUT)) == [1]


def test_later_requeue_takes_nothing_from_an_earlier_one() -> None:
    assert offsets([LETTER], requeue(400_001)) == [0]


def test_earlier_requeue_of_a_topic_that_was_made_anew_counts_no_more() -> None:
    assert offsets([LETTER], requeue(100_001, topic_id="old-id")) == [0]


def test_letters_of_a_replay_into_another_table_are_left_out() -> None:
    other = requeue(200_001, kind=ReplayKind.REPLAY, topic_id="t")
    other = replace(other, revision=replace(other.revision, mapping=Mapping("in.c-b.other", ())))
    same = requeue(100_001, kind=ReplayKind.REPLAY, topic_id="t")
    letters = [replace(LETTER, revision=200_001), replace(LETTER, revision=100_001)]

    assert offsets(letters, other, same) == [1]


def test_event_of_a_letter_is_as_it_was() -> None:
    batch = events_of([LetterAt(40, LETTER)])

    assert (batch.offsets, batch.times_ms, batch.ids, batch.ips) == ([40], [5], ["id"], ["::1"])
    assert (batch.bodies, batch.headers) == ([b"body"], [[("A", b"1")]])
