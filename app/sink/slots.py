"""Who may import now: one import a table, and so many of a project, its own limit included.

Storage lets one job write to a table at a time and runs so many jobs of a project; more would only wait there, and
hold up other work of the project. Each sink process keeps this by itself; what several of them ask for together waits
in Storage's queue.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary


class ImportSlots:
    """`limit(project)` is asked once for a project: how many jobs it runs; None when that is not known (yet)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._projects: dict[str, asyncio.Semaphore] = {}
        self._tables: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """As long as there are claims to them."""
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unknown = asyncio.Semaphore(most)

    def slot(self, project_id: str, table_id: str, limit: Callable[[], Awaitable[int | None]]) -> ImportSlot:
        """A claim to one import of this table."""

        async def project() -> asyncio.Semaphore:
            return await self._project(project_id, limit)

        return ImportSlot(self._tables.setdefault((project_id, table_id), asyncio.Lock()), project)

    async def _project(self, project_id: str, limit: Callable[[], Awaitable[int | None]]) -> asyncio.Semaphore:
        async with self._asking[project_id]:
            if project_id not in self._projects:
                jobs = await limit()
                if jobs is None:
                    return self._unknown
                self._projects[project_id] = asyncio.Semaphore(max(1, min(self._most, jobs)))
            return self._projects[project_id]


class ImportSlot:
    """At most one permit; asking twice for it, or giving it back twice, changes nothing."""

    def __init__(self, table: asyncio.Lock, project: Callable[[], Awaitable[asyncio.Semaphore]]) -> None:
        self._table, self._project = table, project
        self._held: asyncio.Semaphore | None = None

    async def acquire(self) -> None:
        """The table first: who waits for it must not hold a place of the project."""
        if self._held is not None:
            return
        await self._table.acquire()
        try:
            semaphore = await self._project()
            await semaphore.acquire()
        except BaseException:
            self._table.release()
            raise
        self._held = semaphore

    def release(self) -> None:
        if self._held is not None:
            self._held.release()
            self._table.release()
            self._held = None
