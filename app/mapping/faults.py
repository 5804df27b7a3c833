"""What stops an event, or a whole evaluation, and how an evaluation is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.model.event import Reason

MAX_ROW_BYTES = 1 << 20
"""CSV bytes of a row, its LF included. Source: Buffer API, limits."""
MAX_MESSAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one event has no row. `column` is None when the whole row is at fault."""

    reason: Reason
    column: str | None
    message: str


class Refused(Exception):
    """One event cannot be mapped by one template; `reason` and `message` go to its dead letter."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Undecodable(ValueError):
    """The body cannot be read by its schema, or the schema cannot be read; the message goes to the dead letter."""


class TooMuch(Exception):
    """The cells of the events given take more memory together than allowed: map fewer at once."""


FILTER = -2
"""Stands for the filter where a column's index is asked for; no index, and not -1, which is none."""
DECODING = -3
"""Stands for the reading of a body by its schema, before any column."""


class Watch(Protocol):
    """Sees which event is being evaluated, and may end the work between two events."""

    def begin(self, column: int) -> None:
        """Called before a column (index into the mapping's, FILTER or DECODING) is evaluated for some events."""

    def at(self, index: int) -> None:
        """Called before the column is evaluated for the event with this index; must be quick."""

    def end(self) -> None:
        """Called after the column's evaluation, however it ended."""

    def expired(self) -> bool:
        """Asked between events: whether the time for the mapping is used up; must be quick."""


class Unwatched:
    """A Watch for where nothing can be done about time, such as a test."""

    def begin(self, column: int) -> None:
        pass

    def at(self, index: int) -> None:
        pass

    def end(self) -> None:
        pass

    def expired(self) -> bool:
        return False


TOO_LARGE = f"The row has more than {MAX_ROW_BYTES:,} bytes of CSV, the most that a row may have."


USED_UP = "The time that the export may take for one chunk was used up before this event was mapped."
"""Source: delivery protocol, rule 5."""


def resting(seconds: float, why: str) -> str:
    """For events of an export that rests, with what it failed with last.

    >>> resting(3.4, "no").endswith("it is tried again in 3 s. What it failed with last: no")
    True
    """
    last = f" What it failed with last: {why}" if why else ""
    return (
        "The export has used up the time that templates may take which fail or do not come to an end; "
        f"it is tried again in {max(round(seconds), 1)} s.{last}"
    )


def stuck(seconds: float) -> str:
    """For an event at which a template computed for so long.

    >>> stuck(1)
    'The template did not come to an end for this event within 1 s of computing.'
    """
    return f"The template did not come to an end for this event within {round(seconds, 2):g} s of computing."


TOO_DEAR = "The body took more time or memory to be read by its schema than an event may take."
OUT_OF_MEMORY = "The template takes more memory, or stack, for this event than a mapping process may have."


def of_filter(message: str) -> str:
    """The message, said of the filter. A filter is no column, so only the message can say it.

    >>> of_filter("no")
    'filter: no'
    """
    return f"filter: {message}"


def cut_message(message: str) -> str:
    """The message cut to 4 KiB of UTF-8.

    >>> len(cut_message("é" * 4096).encode())
    4095
    """
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return encoded.decode()
    return encoded[: MAX_MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"
