"""The judgement of a run, pure: every event that Kafka has is in exactly one place per export, every acknowledged event
is in Kafka once.

An event that was not acknowledged may be in Kafka once (delivery protocol, rule 25), and is then judged like the
others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from chaos.exports import CHANGING, SHAPES, Fate, Shape, event_body
from chaos.harvest import Found, Stored
from chaos.traffic import Book, Sent


def judge(book: Book, stored: Mapping[str, Stored], found: Mapping[str, Found]) -> list[str]:
    """Everything that is not as promised, one line each. `stored` is by receiver, `found` by table."""
    problems = list(_of_acknowledgements(book, stored))
    for shape in SHAPES:
        problems += _of_export(shape, book, stored[shape.receiver], found[shape.table])
    problems += _of_labels(book.events, book.labels, found[CHANGING.table])
    return problems


def judge_extent(faults: int, acknowledged: int, rows: int, letters: int) -> list[str]:
    """A run that did not do what it is for shows nothing, however well it went: what there was none of."""
    counts = {"fault": faults, "acknowledged event": acknowledged, "row": rows, "dead letter": letters}
    return [f"there was no {what}: the run shows nothing" for what, count in counts.items() if not count]


def _of_acknowledgements(book: Book, stored: Mapping[str, Stored]) -> Iterator[str]:
    for event_id, sent in book.events.items():
        copies = stored[sent.receiver].events[event_id]
        if sent.acknowledged and copies != 1:
            yield f"{sent.receiver}: {event_id} was acknowledged and Kafka has it {copies} times"
        elif copies > 1:
            yield f"{sent.receiver}: {event_id} was sent once and Kafka has it {copies} times"
    for receiver, content in stored.items():
        unknown = [event_id for event_id in content.events if event_id not in book.events]
        yield from (f"{receiver}: nobody sent {event_id}" for event_id in unknown)


def _of_export(shape: Shape, book: Book, stored: Stored, found: Found) -> Iterator[str]:
    name = f"{shape.receiver}/{shape.name}"
    for event_id, copies in stored.events.items():
        number = book.events[event_id].number if event_id in book.events else 0
        fate = shape.fate(number)
        for place, there in ((Fate.ROW, found.rows), (Fate.LETTER, found.letters)):
            wanted = copies if fate is place else 0
            if there[event_id] != wanted:
                yield f"{name}: {event_id} is {there[event_id]} times a {place} instead of {wanted}"
        if event_id in found.bodies and found.bodies[event_id] != event_body(event_id, number).decode():
            yield f"{name}: {event_id} has another body: {found.bodies[event_id]}"
    for place, there in ((Fate.ROW, found.rows), (Fate.LETTER, found.letters)):
        yield from (f"{name}: a {place} is of {e}, which Kafka does not have" for e in there if e not in stored.events)
    yield from (f"{name}: a letter that is of no event: {other}" for other in found.others)


def _of_labels(events: Mapping[str, Sent], labels: Sequence[tuple[int, float]], found: Found) -> Iterator[str]:
    """An event that was sent after a change was known to have succeeded is mapped by that change, or a later one."""
    for event_id, label in found.labels.items():
        if event_id in events:
            least = max((number for number, known in labels if known <= events[event_id].began), default=1)
            if label < least:
                yield f"{event_id} was sent when mapping {least} was in force and is mapped by {label}"
