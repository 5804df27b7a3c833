"""Children ready to work: as many as there are seats, and one more where one is stuck.

Who took a child gives it back whatever became of it. One that was lost is started again in the background and comes
back when it is ready. A child that is slow with one event can be relieved: another takes its seat meanwhile, so that a
stuck template takes no turn from others; what is known to fail goes to such a one at once. The one more stays on as a
spare, so it costs memory only where there was trouble.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

from app.mapping.child_process import ChildGone, ChildProcess

logger = logging.getLogger(__name__)


class Seats:
    """Start it before use and close it at the end; all in one event loop."""

    def __init__(self, count: int, make: Callable[[], ChildProcess]) -> None:
        self._make = make
        self._children = [make() for _ in range(count)]
        self._free: asyncio.LifoQueue[ChildProcess] = asyncio.LifoQueue()
        self._spare: ChildProcess | None = None
        self._relieved: ChildProcess | None = None
        self._starting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the children and wait until they are ready. Raises ChildGone when one does not start."""
        started = await asyncio.gather(*(child.start() for child in self._children), return_exceptions=True)
        for problem in started:
            if problem is not None:
                await self.close()
                raise problem
        for child in self._children:
            self._free.put_nowait(child)

    async def close(self) -> None:
        """End all children. Those that are being started are ended when they have: half of a process is nobody's."""
        while self._starting:
            await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self._children))
        self._children.clear()

    @property
    def pids(self) -> list[int]:
        """Process ids of the children that run, of a spare too."""
        return [child.pid for child in self._children if child.pid is not None]

    async def take(self) -> ChildProcess:
        """A child that runs and has nothing to do. Raises ChildGone when it cannot be started."""
        child = await self._free.get()
        try:
            await self._start(child)
        except BaseException:
            child.kill()
            self._free.put_nowait(child)
            raise
        return child

    async def take_extra(self) -> ChildProcess | None:
        """A child beside those that have seats, for work that may be in vain; None when it is taken already.

        Raises ChildGone when it cannot be started.
        """
        if self._relieved is not None:
            return None
        child, self._spare = self._spare, None
        if child is None:
            child = self._make()
            self._children.append(child)
        self._relieved = child
        try:
            await self._start(child)
        except BaseException:
            self.give_back(child)
            raise
        return child

    def give_back(self, child: ChildProcess) -> None:
        """The child has nothing to do, or has ended."""
        if child is self._relieved:
            self._relieved = None
            self._run(self._become_spare(child))
        elif child.is_running:
            self._free.put_nowait(child)
        else:
            if self._spare is not None:
                self._free.put_nowait(self._spare)
                self._spare = None
                self._run(self._become_spare(child))
            else:
                self._run(self._return(child))

    def relieve(self, child: ChildProcess) -> None:
        """This child, which is taken, may be stuck: let another have its seat. Nothing is done for a second one."""
        if self._relieved is not None:
            return
        self._relieved = child
        if self._spare is not None:
            self._free.put_nowait(self._spare)
            self._spare = None
            return
        other = self._make()
        self._children.append(other)
        self._run(self._return(other))

    async def _start(self, child: ChildProcess) -> None:
        """Start it; it is started to the end, or not at all, also when who waits for it is cancelled."""
        starting = self._run(child.start())
        starting.add_done_callback(lambda task: task.cancelled() or task.exception())  # told by whoever waits
        await asyncio.shield(starting)

    def _run(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return task

    async def _return(self, child: ChildProcess) -> None:
        """Start it. One that cannot be started tells who takes it."""
        try:
            await child.start()
        except ChildGone as error:
            logger.warning("%s", error)
        self._free.put_nowait(child)

    async def _become_spare(self, child: ChildProcess) -> None:
        try:
            await child.start()
        except ChildGone as error:
            logger.warning("%s", error)
        if self._spare is None and child.is_running:
            self._spare = child
        else:
            self._children.remove(child)
            await child.stop()
