"""When a window is closed: count, size and time, with the bounds and the grammar of the Buffer API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from app.model.errors import BadRequest, clipped

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Bounds:
    """Allowed values of the conditions. The defaults are the Buffer API's; tests and operators may set others."""

    min_count: int = 1
    max_count: int = 10_000_000
    min_size_bytes: int = 100
    max_size_bytes: int = 50 * MIB
    min_time_seconds: float = 30
    max_time_seconds: float = 24 * 3600


@dataclass(frozen=True)
class Conditions:
    """A window closes as soon as one of the three is met.

    `size_bytes` counts CSV bytes, uncompressed; `time_seconds` counts from the window's first row.
    """

    count: int = 1000
    size_bytes: int = 5 * MIB
    time_seconds: float = 300


def read_count(count: int, bounds: Bounds, path: str) -> int:
    """The count when it is within bounds. Raises BadRequest, which names the `path` that it has in the body."""
    if count < bounds.min_count:
        problem = f"greater or equal than {bounds.min_count}"
    elif count > bounds.max_count:
        problem = f"lesser or equal than {bounds.max_count}"
    else:
        return count
    raise BadRequest(f"{path} must be {problem} but got value {count}", "buffer.invalidRange")


def read_size(text: str, bounds: Bounds) -> int:
    """Bytes of a size within bounds. Raises BadRequest."""
    size_bytes = parse_size(text)
    if size_bytes < bounds.min_size_bytes:
        raise BadRequest(f'Invalid conditions: "size" must be {format_size(bounds.min_size_bytes)} or greater')
    if size_bytes > bounds.max_size_bytes:
        raise BadRequest(f'Invalid conditions: "size" must be {format_size(bounds.max_size_bytes)} or less')
    return size_bytes


def read_time(text: str, bounds: Bounds) -> float:
    """Seconds of a duration within bounds. Raises BadRequest."""
    seconds = parse_time(text)
    if seconds < bounds.min_time_seconds:
        raise BadRequest(f'Invalid conditions: "time" must be {format_time(bounds.min_time_seconds)} or greater')
    if seconds > bounds.max_time_seconds:
        raise BadRequest(f'Invalid conditions: "time" must be {format_time(bounds.max_time_seconds)} or less')
    return seconds


_SIZE = re.compile(r"(\d{1,15})\s*(B|b|k|K|kB|kb|KB|m|M|mB|mb|MB|g|G|gB|gb|GB)?")
_FACTORS = {"": 1, "k": KIB, "m": MIB, "g": KIB * MIB}
_TIME_PART = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(ns|us|µs|ms|s|m|h)")
_SECONDS = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
}


def parse_size(text: str) -> int:
    """Bytes of a size such as "5MB", "100kB" or "456B" (base 1024; "Mb" would be bits and is refused)."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise BadRequest(
            f'Invalid conditions: value "{clipped(text)}" is not valid buffer size in bytes. '
            'Allowed units: B, kB, MB. For example: "5MB"'
        )
    return int(match[1]) * _FACTORS[(match[2] or "").lower().removesuffix("b")]


def format_size(size_bytes: int) -> str:
    """The shortest exact text of a size, as the API echoes it: "5MB", "100KB", "456B"."""
    for unit, factor in (("GB", KIB * MIB), ("MB", MIB), ("KB", KIB)):
        if size_bytes >= factor and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes}B"


def parse_time(text: str) -> float:
    """Seconds of a duration such as "30s", "1m30s" or "1.5h" (Go's grammar; a bare number is refused)."""
    parts = _TIME_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadRequest(
            f'Invalid conditions: value "{clipped(text)}" is not valid time duration. Allowed units: s, m, h. '
            'For example: "30s"'
        )
    return float(sum(Fraction(number) * _SECONDS[unit] for number, unit in parts))


def format_time(seconds: float) -> str:
    """A duration as Go prints it: "30s", "5m0s", "24h0m0s"."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{int(hours)}h{int(minutes)}m{rest:g}s"
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
