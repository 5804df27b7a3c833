"""Dead letters as the API shows them: raw events as text where they are text, else as base64; cut in lists."""

from __future__ import annotations

import base64
import binascii
import re

from app.api.answers import Answer
from app.kafka.dead_letters import PublishedLetter
from app.model.conditions import KIB
from app.model.replay import mapping_number
from app.model.rows import FailedEvent
from app.model.task import iso_time

LISTED_BODY_BYTES = KIB
LISTED_HEADER_BYTES = 4 * KIB
"""Names and values of an event's headers together; what is beyond is left out in lists."""
TEXT, BINARY = "utf-8", "base64"
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_PLACE = re.compile(r"(0|[1-9]\d{0,4})-(0|[1-9]\d{0,17})", re.ASCII)


class DeadLetterHeaderAnswer(Answer):
    name: str
    value: str
    encoding: str


class DeadLetterEventAnswer(Answer):
    """`body` and what is said of it are not there where the event was too large to be copied into its letter."""

    id: str
    ip: str
    headers: list[DeadLetterHeaderAnswer]
    headers_truncated: bool
    body: str | None = None
    body_encoding: str | None = None
    body_size: int | None = None
    body_truncated: bool


class DeadLetterSourceAnswer(Answer):
    topic: str
    topic_id: str
    partition: int
    offset: int
    lane: str


class DeadLetterAnswer(Answer):
    id: str
    reason: str
    column: str | None = None
    message: str
    revision: int
    received_at: str
    published_at: str
    source: DeadLetterSourceAnswer
    event: DeadLetterEventAnswer


class PageAnswer(Answer):
    limit: int
    after: str | None = None


class DeadLettersAnswer(Answer):
    dead_letters: list[DeadLetterAnswer]
    page: PageAnswer


def show_letter(found: PublishedLetter, *, whole: bool) -> DeadLetterAnswer:
    letter = found.letter
    event, source = letter.event, letter.source
    return DeadLetterAnswer(
        id=f"{found.partition}-{found.offset}",
        reason=event.reason.value,
        column=event.column,
        message=event.message,
        revision=mapping_number(letter.revision),
        received_at=_time(event.time_ms),
        published_at=_time(found.published_ms),
        source=DeadLetterSourceAnswer(
            topic=event.topic,
            topic_id=source.topic_id,
            partition=source.partition,
            offset=event.offset,
            lane=source.lane,
        ),
        event=_show_event(event, whole),
    )


def write_cursor(partition: int, before: int) -> str:
    return base64.urlsafe_b64encode(f"{partition}-{before}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> tuple[int, int] | None:
    """Partition and offset; None for what `write_cursor` did not make.

    >>> read_cursor(write_cursor(2, 1234)), read_cursor("abc")
    ((2, 1234), None)
    """
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    return read_letter_id(plain)


def read_letter_id(text: str) -> tuple[int, int] | None:
    """Partition and offset of a letter; None for what names none.

    >>> read_letter_id("2-1234"), read_letter_id("2-01")
    ((2, 1234), None)
    """
    found = _PLACE.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


def _time(milliseconds: int) -> str:
    """A producer may stamp its records with anything; what no date can say is shown as the nearest one."""
    return iso_time(min(max(milliseconds, 0), _LAST_MS))


def _show_event(event: FailedEvent, whole: bool) -> DeadLetterEventAnswer:
    headers, size = [], 0
    for name, value in event.headers:
        size += len(name.encode()) + len(value)
        if not whole and size > LISTED_HEADER_BYTES:
            break
        text, encoding = _as_text(value, None)
        headers.append(DeadLetterHeaderAnswer(name=name, value=text, encoding=encoding))
    answer = DeadLetterEventAnswer(
        id=event.event_id,
        ip=event.ip,
        headers=headers,
        headers_truncated=len(headers) < len(event.headers),
        body_truncated=event.body is None,
    )
    if event.body is not None:
        cut = None if whole else LISTED_BODY_BYTES
        answer.body, answer.body_encoding = _as_text(event.body, cut)
        answer.body_size = len(event.body)
        answer.body_truncated = cut is not None and len(event.body) > cut
    return answer


def _as_text(data: bytes, cut: int | None) -> tuple[str, str]:
    """The first `cut` bytes of data that is UTF-8 as a whole as text, else as base64; and which of the two.

    A character at the cut is left out.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data[:cut]).decode(), BINARY
    return data[:cut].decode(errors="ignore"), TEXT
