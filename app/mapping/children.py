"""The mapping children: processes that map chunks, watched from here, and replaced when a template takes them down.

Every chunk given comes back whole: for each export, segments that cover all its events, whatever the templates do
(`app.mapping.chunk` decides what follows when a child is lost). A child works on one request at a time; chunks wait in
line. Exports that failed dearly a while ago are watched: their turn comes when the other exports of the chunk have
their answers, one chunk at a time, within what they may still lose (`app.mapping.allowance`). How a chunk is mapped is
left to `app.mapping.rows`, which runs in the child; nothing here loads pyarrow or an engine.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial

from app.mapping.allowance import Allowances
from app.mapping.attention import Attention
from app.mapping.child_process import ChildGone, ChildProcess
from app.mapping.chunk import CHILD_LOST_SECONDS, Chunk, Job, Loss, Spent
from app.mapping.faults import USED_UP, resting
from app.mapping.seats import Seats
from app.mapping.wire import pack_batch, pack_mapping, unpack_segments
from app.model.engine import Engine
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Mapping

logger = logging.getLogger(__name__)

Exports = Sequence[tuple[str, Mapping]]
_MAX_KNOWN = 500
"""Definitions that a child keeps; past it, it is told to forget them all."""
_SLICE_SHARE = 0.25
"""What a job may take before others have a turn, as a part of what one event may."""
_WATCHED_EVENTS = 500
"""Events of one job of an export that is watched."""
_LINE_SECONDS = 60.0
"""A line in which no child has answered for so long does not move: a job may take a few seconds."""


class PoolClosed(RuntimeError):
    """The pool was closed, or not started; the chunk is not mapped."""


class MappingPool:
    """Children that map chunks. Start it before use and close it at the end; all in one event loop.

    `memory_mib` is what a child may have beside the program itself, `budget_seconds` the computing that one export may
    take for one chunk of 1,000 events (a larger one in proportion), `event_seconds` the computing that one event may
    take for one export. `failing_share` is what exports may go on to lose to work that fails, all together, as a part
    of the time that passes; None: as much as there is, for who asks now and then and wants each event's own reason.
    `account_seconds` is what one export may lose before it rests (`budget_seconds`, unless given).
    """

    def __init__(
        self,
        children: int,
        *,
        memory_mib: int = 512,
        budget_seconds: float = 5.0,
        event_seconds: float = 1.0,
        engine: Engine = Engine.RJSONNET,
        failing_share: float | None = 0.05,
        account_seconds: float | None = None,
    ) -> None:
        self._seats = Seats(children, partial(ChildProcess, memory_mib, engine))
        self._line = asyncio.Lock()
        most = max(account_seconds or budget_seconds, event_seconds + 3 * CHILD_LOST_SECONDS)
        self._allowances = Allowances(failing_share or 1.0, math.inf if failing_share is None else most)
        self._busy: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._in_line: Counter[Hashable] = Counter()
        self._answered_at = time.monotonic()
        self._budget_seconds = budget_seconds
        self._event_seconds = event_seconds
        self._open = False
        self._working: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start the children and wait until they are ready. Raises ChildGone when one does not start."""
        await self._seats.start()
        self._open = True

    async def close(self) -> None:
        """End the children; chunks under way raise PoolClosed."""
        self._open = False
        for work in self._working:
            work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._seats.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the children that run."""
        return self._seats.pids

    async def map(self, exports: Exports, batch: EventBatch, *, rows: bool = True) -> list[list[Segment]]:
        """Segments for each export, in the order given, that cover the batch.

        Without `rows` segments have no CSV: for who wants to know failures only, and not to hold what templates can
        blow up. An export is (key, mapping); a key such as "<uid>/<revision>" must stand for the same mapping always.
        Raises PoolClosed, and ChildGone when a child can no longer be started. Who is cancelled ends the mapping.
        """
        task, answers = self._begin(exports, batch, rows, None)
        try:
            return await asyncio.gather(*answers)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise

    def map_each(
        self, exports: Exports, batch: EventBatch, owner: Hashable = None
    ) -> list[asyncio.Future[list[Segment]]]:
        """Like `map`, but each export's segments as soon as they are there. Nobody who is cancelled ends it.

        `owner` names what the batch is of, for `keeps_waiting`.
        """
        _, answers = self._begin(exports, batch, True, owner)
        return answers

    def keeps_waiting(self, owner: Hashable) -> bool:
        """Whether a batch of this owner waits for its turn, and those before it are dealt with. From any thread."""
        return self._in_line[owner] > 0 and time.monotonic() - self._answered_at < _LINE_SECONDS

    def rested_seconds(self, key: str) -> float:
        """For how long the export has rested without one try that succeeded; 0.0 when it does not."""
        return self._allowances.rested_seconds(key, time.monotonic())

    def why(self, key: str) -> str:
        """What an export that rests failed with last."""
        return self._allowances.why(key)

    def _begin(
        self, exports: Exports, batch: EventBatch, rows: bool, owner: Hashable
    ) -> tuple[asyncio.Task[None], list[asyncio.Future[list[Segment]]]]:
        if not self._open:
            raise PoolClosed("The mapping children are not running.")
        work = _Work(Chunk(batch, len(exports), self._budget_seconds), exports, batch, rows, owner)
        task = asyncio.create_task(self._map(work))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task, work.answers

    async def _map(self, work: _Work) -> None:
        try:
            work.settle()
            while work.chunk.pending:
                if self._plain(work):
                    await self._serve(work, partial(self._plain, work), self._event_seconds, alone=False)
                else:
                    await self._serve_watched(work, work.chunk.pending[0].export)
        except asyncio.CancelledError:
            work.fail(PoolClosed("The mapping children were stopped."))
            raise
        except Exception as error:
            work.fail(error)

    def _plain(self, work: _Work) -> list[Job]:
        return work.chunk.work(lambda export: not self._is_watched(work.exports[export][0]))

    def _first(self, work: _Work, export: int) -> list[Job]:
        return work.chunk.left(export)[:1]

    def _is_watched(self, key: str) -> bool:
        return self._busy[key] > 0 or self._allowances.is_watched(key, time.monotonic())

    async def _serve_watched(self, work: _Work, export: int) -> None:
        """Map what is left of an export that failed lately, or seems stuck in another chunk just now.

        One that rests is tried by one chunk, and fails at once in the others; else its chunks wait for each other. A
        try is one job: if nothing in it was in vain, the rest is over. (Were it a whole chunk, an export that needs
        more for one than its account can hold would rest for ever.)
        """
        key, _ = work.exports[export]
        trying = self._allowances.is_resting(key)
        if trying and (self._busy[key] or not self._allowances.left(key, time.monotonic())):
            self._refuse(work, export)
            return
        async with self._alone(key, work.owner):
            left = self._allowances.left(key, time.monotonic())
            if not left or (not trying and self._allowances.is_resting(key)):
                return  # seen to be so when it is looked at again
            work.chunk.cut(export, _WATCHED_EVENTS)
            first = partial(self._first, work, export)
            await self._serve(work, first, min(self._event_seconds, left), alone=True, stay=not trying)
            if trying and self._allowances.left(key, time.monotonic()) >= left:
                self._allowances.succeeded(key)

    def _refuse(self, work: _Work, export: int) -> None:
        key, _ = work.exports[export]
        seconds = self._allowances.rest_seconds(key, time.monotonic())
        work.chunk.refuse(export, resting(seconds, self._allowances.why(key)))
        work.settle()

    @asynccontextmanager
    async def _alone(self, key: str, owner: Hashable) -> AsyncIterator[None]:
        """Wait until no other chunk is at this export, as far as it is watched."""
        with self._lining_up(owner):
            while self._busy[key]:
                await self._news.wait()
        self._busy[key] += 1
        try:
            yield
        finally:
            self._leave(key)

    @contextmanager
    def _lining_up(self, owner: Hashable) -> Iterator[None]:
        self._in_line[owner] += 1
        try:
            yield
        finally:
            self._in_line[owner] -= 1
            if not self._in_line[owner]:
                del self._in_line[owner]

    def _leave(self, key: str) -> None:
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]
        self._news.set()
        self._news = asyncio.Event()

    async def _serve(
        self, work: _Work, jobs: Callable[[], list[Job]], event_seconds: float, *, alone: bool, stay: bool = False
    ) -> None:
        """Give a child the jobs that are to be done when it is free; return when it has answered them, or is lost.

        `alone`: who calls sees to it that no other chunk is at these exports, and a child beside the others does it if
        there is one, for others would wait in vain. `stay`: give it more until there are no more.
        """
        child = await self._seats.take_extra() if alone else None
        if child is None:
            with self._lining_up(work.owner):
                async with self._line:  # so one chunk is packed when a child is free, and no more
                    work.packed()
                    child = await self._seats.take()
        try:
            while wanted := jobs():
                await self._watch(child, work, wanted, work.packed(), event_seconds, alone=alone)
                if not stay or not child.is_running:
                    break
        except BaseException:
            # Its answers would be taken for those to the next chunk.
            child.kill()
            raise
        finally:
            self._seats.give_back(child)

    async def _watch(
        self,
        child: ChildProcess,
        work: _Work,
        jobs: list[Job],
        packed: bytes,
        event_seconds: float,
        *,
        alone: bool,
    ) -> None:
        slow: list[str] = []
        answered = 0

        def on_slow() -> bool:
            key, _ = work.exports[jobs[answered].export]
            if self._busy[key] and not alone:
                return False  # another chunk is at it, and one is enough to find out
            slow.append(key)
            self._busy[key] += 1
            self._seats.relieve(child)
            return True

        attention = Attention(child, event_seconds, on_slow)
        try:
            await child.send(_request(child, work.exports, jobs, packed, work.rows))
            while answered < len(jobs):
                job = jobs[answered]
                most = min(work.chunk.seconds(job.export), self._event_seconds * _SLICE_SHARE)
                segments, error, seconds, leaving = await attention.answer(answered, most)
                if segments is None:
                    self._lost(work, job, Loss(Reason.TEMPLATE_ERROR, f"Mapping failed: {error}"), seconds)
                else:
                    self._finished(work, job, unpack_segments(segments), Spent(seconds, attention.looks))
                answered += 1
                if leaving:
                    child.kill()
        except ChildGone:
            key, mapping = work.exports[jobs[answered].export]
            loss, seconds = attention.loss(answered, mapping)
            if loss.begun:
                logger.warning("Export %s took a mapping child down (%s): column %s", key, loss.reason, loss.column)
            self._lost(work, jobs[answered], loss, seconds)
        finally:
            for key in slow:
                self._leave(key)

    def _finished(self, work: _Work, job: Job, segments: list[Segment], spent: Spent) -> None:
        self._answered_at = time.monotonic()
        vain = work.chunk.finished(job, segments, spent)
        if vain:
            failures = [failure.message for segment in segments for failure in segment.failures]
            self._charge(work, job.export, vain, failures[0] if failures else USED_UP)
        work.settle()

    def _lost(self, work: _Work, job: Job, loss: Loss, seconds: float) -> None:
        self._answered_at = time.monotonic()
        self._charge(work, job.export, work.chunk.lost(job, loss, seconds), loss.message)
        work.settle()

    def _charge(self, work: _Work, export: int, seconds: float, why: str) -> None:
        """Count time that was spent in vain; an export that rests from now on gets no more of it for this chunk."""
        key, _ = work.exports[export]
        self._allowances.charge(key, seconds, time.monotonic(), why)
        if self._allowances.is_resting(key) and not self._allowances.left(key, time.monotonic()):
            self._refuse(work, export)


class _Work:
    """One chunk on its way, packed when a child may take it, and the answers, one for each export."""

    def __init__(self, chunk: Chunk, exports: Exports, batch: EventBatch, rows: bool, owner: Hashable) -> None:
        self.rows = rows
        self.owner = owner
        self.chunk = chunk
        self.exports = exports
        self.answers: list[asyncio.Future[list[Segment]]] = [asyncio.Future() for _ in exports]
        self._batch = batch
        self._packed: bytes | None = None

    def settle(self) -> None:
        """Give the answers that are complete."""
        for export, answer in enumerate(self.answers):
            if not answer.done() and (segments := self.chunk.segments(export)) is not None:
                answer.set_result(segments)

    def fail(self, error: Exception) -> None:
        for answer in self.answers:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # who waits is told; where nobody does, nothing is wrong

    def packed(self) -> bytes:
        if self._packed is None:
            self._packed = pack_batch(self._batch)
        return self._packed


def _request(child: ChildProcess, exports: Exports, jobs: Sequence[Job], packed: bytes, rows: bool) -> object:
    forget = len(child.known) > _MAX_KNOWN
    if forget:
        child.known.clear()
    wanted = dict(exports[job.export] for job in jobs)
    new = wanted.keys() - child.known
    child.known |= new
    work = [(exports[job.export][0], job.start, job.stop) for job in jobs]
    return (forget, [(key, pack_mapping(wanted[key])) for key in new], packed, work, rows)
