"""Bodies that are read in parts, and may become larger than they came. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.model.conditions import format_size
from app.model.errors import PayloadTooLarge

PART_BYTES = 256 * 1024
"""Bytes that are read at a time."""


def bounded(parts: Iterable[bytes], most_bytes: int, what: str) -> Iterator[bytes]:
    """The parts, in order. Raises PayloadTooLarge, which names `what` they are of, as soon as they have more than
    `most_bytes` together.
    """
    size = 0
    for part in parts:
        size += len(part)
        if size > most_bytes:
            raise PayloadTooLarge(f"Payload too large, the maximum size of {what} is {format_size(most_bytes)}.")
        yield part
