"""Times as text: the `datetime` column and the formats of `Now()`.

All times are UTC and come as milliseconds since 1970 from the record's timestamp. A timestamp outside the years 1 to
9999, which only a foreign producer can make, counts as the nearest one inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

DEFAULT_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_MS = -62_135_596_800_000
_MAX_MS = 253_402_300_799_999
_MAX_STAMPS = 20_000

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class FormatInvalid(ValueError):
    """A format that `Now()` does not know; the message says which part of it."""


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(max(ms, _MIN_MS), _MAX_MS))


def _hour12(t: datetime) -> int:
    return t.hour % 12 or 12


def _week(t: datetime, first_weekday: int) -> int:
    """Week of the year as C counts it: days before the first `first_weekday` (0 is Monday) are in week 0."""
    return (t.timetuple().tm_yday + 6 - (t.weekday() - first_weekday) % 7) // 7


# Names are spelled out here because Python's strftime follows the process's locale.
_PARTS: dict[str, Callable[[datetime], str]] = {
    "A": lambda t: _DAYS[t.weekday()],
    "a": lambda t: _DAYS[t.weekday()][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "C": lambda t: f"{t.year // 100:02}",
    "d": lambda t: f"{t.day:02}",
    "e": lambda t: f"{t.day:2}",
    "f": lambda t: f"{t.microsecond // 1000:03}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{_hour12(t):02}",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "k": lambda t: f"{t.hour:2}",
    "l": lambda t: f"{_hour12(t):2}",
    "M": lambda t: f"{t.minute:02}",
    "m": lambda t: f"{t.month:02}",
    "n": lambda t: "\n",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "S": lambda t: f"{t.second:02}",
    "t": lambda t: "\t",
    "U": lambda t: f"{_week(t, 6):02}",
    "u": lambda t: str(t.isoweekday()),
    "V": lambda t: f"{t.isocalendar().week:02}",
    "W": lambda t: f"{_week(t, 0):02}",
    "w": lambda t: str(t.isoweekday() % 7),
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
    "Z": lambda t: "UTC",
    "z": lambda t: "+0000",
    "%": lambda t: "%",
}
_SHORTHANDS = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "h": "%b",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "v": "%e-%b-%Y",
    "X": "%H:%M:%S",
    "x": "%m/%d/%y",
}
_SHORTHAND = re.compile("%(?:([cDFhRrTvXx])|(%))")
_PART = re.compile("%(.?)", re.DOTALL)


@lru_cache(maxsize=1024)
def _pieces(format: str) -> tuple[str | Callable[[datetime], str], ...]:
    expanded = _SHORTHAND.sub(lambda m: _SHORTHANDS[m[1]] if m[1] else "%%", format)
    pieces: list[str | Callable[[datetime], str]] = []
    end = 0
    for found in _PART.finditer(expanded):
        pieces.append(expanded[end : found.start()])
        end = found.end()
        if found[1] not in _PARTS:
            what = f'"%{found[1]}" is not known' if found[1] else 'it ends with a single "%"'
            allowed = " ".join(f"%{c}" for c in sorted([*_PARTS, *_SHORTHANDS], key=lambda c: (c.lower(), c)))
            raise FormatInvalid(f'datetime format "{format}" is invalid: {what}; allowed: {allowed}')
        pieces.append(_PARTS[found[1]])
    pieces.append(expanded[end:])
    return tuple(piece for piece in pieces if piece != "")


def format_time(ms: int, format: str = DEFAULT_FORMAT) -> str:
    """The time in the format given. Source: Buffer API, Now(); `%f` is three digits of milliseconds.

    Raises FormatInvalid for a conversion that is not in the list.

    >>> format_time(1672628645006)
    '2023-01-02T03:04:05.006Z'
    >>> format_time(1672628645006, "%c|%v|%r")
    'Mon Jan  2 03:04:05 2023| 2-Jan-2023|03:04:05 AM'
    """
    pieces = _pieces(format)
    moment = _moment(ms)
    return "".join(piece if isinstance(piece, str) else piece(moment) for piece in pieces)


class Stamps(dict[int, str]):
    """Milliseconds to the `datetime` column's text, remembered; events of a chunk share most of theirs.

    >>> Stamps()[1672628645006]
    '2023-01-02T03:04:05.006Z'
    """

    def __init__(self) -> None:
        super().__init__()
        self._second: int | None = None
        self._prefix = ""

    def __missing__(self, ms: int) -> str:
        if not _MIN_MS <= ms <= _MAX_MS:
            return self[min(max(ms, _MIN_MS), _MAX_MS)]
        if len(self) >= _MAX_STAMPS:
            self.clear()
        second, rest = divmod(ms, 1000)
        if second != self._second:
            self._second = second
            self._prefix = format_time(second * 1000, "%Y-%m-%dT%H:%M:%S.")
        text = self[ms] = f"{self._prefix}{rest:03}Z"
        return text
