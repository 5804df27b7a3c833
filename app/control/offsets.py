"""Which offset of a partition may be committed while commands finish out of order: pure."""

from __future__ import annotations


class OpenOffsets:
    """Offsets that were read and are not finished. `done` is the next offset to commit: nothing before it is open."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._read_to = 0

    def read(self, end: int) -> None:
        """Everything before `end` has been read."""
        self._read_to = max(self._read_to, end)

    def open(self, offset: int) -> None:
        self._open.add(offset)

    def close(self, offset: int) -> None:
        self._open.discard(offset)

    def __len__(self) -> int:
        return len(self._open)

    @property
    def done(self) -> int:
        return min(self._open, default=self._read_to)
