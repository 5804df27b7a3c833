"""Which lanes of replays read at the moment, so that many of them take no more memory than a few."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_BLOCKS_IN_FLIGHT = 1


class Turns:
    """Seats for `readers` lanes, each with a consumer that reads ahead; whoever has waited longest has the next one.

    `block` is held while a lane has a block in memory, so that all lanes of a process together hold one.
    """

    def __init__(self, readers: int) -> None:
        self.block = asyncio.Semaphore(_BLOCKS_IN_FLIGHT)
        self.waiting = 0
        """Lanes without a seat that want one."""
        self._seats = asyncio.Semaphore(readers)

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        self.waiting += 1
        try:
            await self._seats.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._seats.release()
