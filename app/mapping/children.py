"""The mapping children: processes that map chunks, watched from here, and replaced when a template takes them down.

Every chunk given comes back whole: for each export, segments that cover all its events, whatever the templates do
(`app.mapping.chunk` decides what follows when a child is lost). A child works on one chunk at a time; chunks wait in
line. How a chunk is mapped is left to `app.mapping.rows`, which runs in the child; nothing here loads pyarrow or an
engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from app.mapping.attention import Attention
from app.mapping.child_process import ChildGone, ChildProcess
from app.mapping.chunk import Chunk, Job, Loss
from app.mapping.wire import pack_batch, pack_mapping, unpack_segments
from app.model.engine import Engine
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Mapping

logger = logging.getLogger(__name__)

Exports = Sequence[tuple[str, Mapping]]
_MAX_KNOWN = 500
"""Definitions that a child keeps; past it, it is told to forget them all."""


class PoolClosed(RuntimeError):
    """The pool was closed, or not started; the chunk is not mapped."""


class MappingPool:
    """Children that map chunks. Start it before use and close it at the end; all in one event loop.

    `memory_mib` is what a child may have beside the program itself, `budget_seconds` the computing that one export may
    take for one chunk, `event_seconds` the computing that one event may take for one export.
    """

    def __init__(
        self,
        children: int,
        *,
        memory_mib: int = 512,
        budget_seconds: float = 5.0,
        event_seconds: float = 1.0,
        engine: Engine = Engine.RJSONNET,
    ) -> None:
        self._children = [ChildProcess(memory_mib, engine) for _ in range(children)]
        self._free: asyncio.LifoQueue[ChildProcess] = asyncio.LifoQueue()
        self._budget_seconds = budget_seconds
        self._event_seconds = event_seconds
        self._open = False
        self._working: set[asyncio.Task[list[list[Segment]]]] = set()

    async def start(self) -> None:
        """Start the children and wait until they are ready. Raises ChildGone when one does not start."""
        started = await asyncio.gather(*(child.start() for child in self._children), return_exceptions=True)
        for problem in started:
            if problem is not None:
                await self.close()
                raise problem
        for child in self._children:
            self._free.put_nowait(child)
        self._open = True

    async def close(self) -> None:
        """End the children; chunks under way raise PoolClosed."""
        self._open = False
        for work in self._working:
            work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await asyncio.gather(*(child.stop() for child in self._children))

    @property
    def pids(self) -> list[int]:
        """Process ids of the children that run."""
        return [child.pid for child in self._children if child.pid is not None]

    async def map(self, exports: Exports, batch: EventBatch, *, rows: bool = True) -> list[list[Segment]]:
        """Segments for each export, in the order given, that cover the batch.

        Without `rows` segments have no CSV: for who wants to know failures only, and not to hold what templates can
        blow up. An export is (key, mapping); a key such as "<uid>/<revision>" must stand for the same mapping always.
        Raises PoolClosed, and ChildGone when a child can no longer be started.
        """
        if not self._open:
            raise PoolClosed("The mapping children are not running.")
        work = asyncio.create_task(self._map(exports, batch, rows))
        self._working.add(work)
        try:
            return await work
        except asyncio.CancelledError:
            if self._open or not work.cancelled():
                raise
            raise PoolClosed("The mapping children were stopped.") from None
        finally:
            self._working.discard(work)

    async def _map(self, exports: Exports, batch: EventBatch, rows: bool) -> list[list[Segment]]:
        chunk = Chunk(batch, len(exports), self._budget_seconds)
        packed = pack_batch(batch)
        while chunk.pending:
            child = await self._free.get()
            try:
                await child.start()
                await self._serve(child, chunk, exports, packed, rows)
            except BaseException:
                # Its answers would be taken for those to the next chunk.
                child.kill()
                raise
            finally:
                self._free.put_nowait(child)
        return chunk.segments

    async def _serve(self, child: ChildProcess, chunk: Chunk, exports: Exports, packed: bytes, rows: bool) -> None:
        """Give the child all that is pending; return when it has answered all of it, or is lost."""
        jobs = list(chunk.pending)
        attention = Attention(child, self._event_seconds)
        answered = 0
        try:
            await child.send(_request(child, exports, jobs, packed, rows))
            while answered < len(jobs):
                segments, error, seconds, leaving = await attention.answer(
                    answered, chunk.seconds(jobs[answered].export)
                )
                if segments is None:
                    chunk.lost(jobs[answered], Loss(Reason.TEMPLATE_ERROR, f"Mapping failed: {error}"), seconds)
                else:
                    chunk.finished(jobs[answered], unpack_segments(segments), seconds)
                answered += 1
                if leaving:
                    child.kill()
        except ChildGone:
            key, mapping = exports[jobs[answered].export]
            loss, seconds = attention.loss(answered, mapping)
            logger.warning("Export %s took a mapping child down (%s): column %s", key, loss.reason, loss.column)
            chunk.lost(jobs[answered], loss, seconds)


def _request(child: ChildProcess, exports: Exports, jobs: Sequence[Job], packed: bytes, rows: bool) -> object:
    forget = len(child.known) > _MAX_KNOWN
    if forget:
        child.known.clear()
    wanted = dict(exports[job.export] for job in jobs)
    new = wanted.keys() - child.known
    child.known |= new
    work = [(exports[job.export][0], job.start, job.stop) for job in jobs]
    return (forget, [(key, pack_mapping(wanted[key])) for key in new], packed, work, rows)
