"""A bound on the CSV bytes that one sink process holds: whoever wants more waits, so lag grows and memory does not."""

from __future__ import annotations

import asyncio


class ByteBudget:
    """Bytes taken and given back on one event loop. `room` is awaited before more is taken in."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._freed = asyncio.Event()

    def take(self, size_bytes: int) -> None:
        self.used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        self.used_bytes -= size_bytes
        self._freed.set()

    @property
    def pressed(self) -> bool:
        """Whether more than half is used: time to stage early."""
        return self.used_bytes > self.limit_bytes // 2

    async def room(self) -> None:
        """Wait until less than the limit is used."""
        while self.used_bytes >= self.limit_bytes:
            self._freed.clear()
            await self._freed.wait()
