"""Reads of Kafka that block, on behalf of calls: bounded in number, each in a thread that ends with it.

So a gateway at rest has neither their threads nor their memory, and many of them at once slow nobody's events.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.model.errors import Overloaded

T = TypeVar("T")


class Reads:
    def __init__(self, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)

    async def run(self, read: Callable[[], T]) -> T:
        """What `read` returns or raises. Raises Overloaded.

        Its place is free again when `read` has ended, also where nobody waits for it any more.
        """
        if not self._places.acquire(blocking=False):
            raise Overloaded(
                "Too many calls read from Kafka on this gateway at the moment; send the request again later"
            )

        def hold() -> T:
            try:
                return read()
            finally:
                self._places.release()

        executor = ThreadPoolExecutor(1, thread_name_prefix="read-kafka")
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, hold)
        finally:
            executor.shutdown(wait=False)
