"""The consumer on the main loop: what Faust gets, what is committed, and when partitions come and go.

Guarantees that nothing is committed but what `done` said under the lease in force, and that what was fetched but not
done is read again after every rebalance. Calls into aiokafka are in `thread`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage, Message

from app.kafka.faust.chunk import Chunk, Committed, Partition, Progress
from app.kafka.faust.thread import ChunkThread, Lease

if TYPE_CHECKING:
    from app.kafka.faust.app import ChunkApp

_log = logging.getLogger(__name__)
_IDLE_SECONDS = 0.02
PartitionsCallback = Callable[[frozenset[Partition]], Awaitable[None]]
StartsCallback = Callable[[Mapping[Partition, Committed | None]], Awaitable[Mapping[Partition, int]]]


async def start_at_commits(committed: Mapping[Partition, Committed | None]) -> Mapping[Partition, int]:
    """Where reading begins: at the commit, else at the start of the log."""
    return {source: value.offset if value else 0 for source, value in committed.items()}


class _NoOffsets(dict[TP, int | None]):
    """Faust drops messages below the last offset it saw, which a rewind makes wrong: let it see none."""

    def __getitem__(self, key: TP) -> int | None:
        return None

    def __setitem__(self, key: TP, value: int | None) -> None:
        return None


class ChunkConsumer(driver.Consumer):
    """One per ChunkApp, made by Faust."""

    logger = logging.getLogger("faust")  # what mode says about its services goes under Faust's name
    app: ChunkApp
    _thread: ChunkThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoOffsets()
        self.assigned_callbacks: list[PartitionsCallback] = []
        self.revoked_callbacks: list[PartitionsCallback] = []
        self.starts: StartsCallback = start_at_commits
        self._leases: dict[Partition, Lease] = {}
        self._announced: frozenset[Partition] = frozenset()
        self._done: dict[Partition, Committed] = {}
        self._committed: dict[Partition, Committed] = {}
        self._revocations = 0
        self._giving_up = False
        self._committing = asyncio.Lock()
        self._joined = False
        self.handing_over = False
        """Whether a chunk waits for room in the queue."""

    def _new_consumer_thread(self) -> ChunkThread:
        thread = ChunkThread(self, loop=self.loop, beacon=self.beacon)
        thread.arguments = self.app.consumer_arguments
        thread.chunk_records, thread.chunk_bytes = self.app.chunk_records, self.app.chunk_bytes
        thread.leases, thread.held_back = {}, frozenset()
        return thread

    # Reading

    def holds(self, chunk: Chunk) -> bool:
        """Whether the chunk's partition is still ours, and not read anew since."""
        lease = self._leases.get(chunk.source)
        return lease is not None and lease.generation == chunk.generation and not self._giving_up

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """One message a chunk. Stock Faust makes two tasks a record, and sleeps a second when nothing is active."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # Faust's own call has the same gap
        active = self._leases.keys() & {Partition(*tp) for tp in self._get_active_partitions()} - self._thread.held_back
        if not active:
            await self.sleep(_IDLE_SECONDS)
            return
        generation = self.app.consumer_generation_id
        for chunk in cast(list[Chunk], await self._thread.call_thread(self._thread.fetch, active)):
            if not self.flow_active or self.should_stop:
                return  # the rebalance under way ends in a seek
            if self.holds(chunk):
                self.handing_over = True
                try:
                    yield TP(*chunk.source), _message(chunk, generation)
                finally:
                    self.handing_over = False

    async def perform_seek(self) -> None:
        """Called by Faust when a rebalance is complete: go to where reading begins, then tell the app.

        Faust's asks for each partition by itself and does not rewind partitions without a commit, so that what was
        fetched and dropped in the rebalance would be skipped.

        Faust may call it twice with no revocation between, where one rebalance follows another at once. What was leased
        is given up then, too: a chunk that is cut under the old lease, when the new one is sought and not installed
        yet, would be dropped and never be read again.
        """
        if self._announced:
            await self.give_up()
        revocations = self._revocations
        sources = await self._thread.call_thread(self._thread.assigned)
        leases = await self._lease(set(sources) - self.app.anchors)
        if revocations != self._revocations:
            return
        self._install(leases)
        self._announced = frozenset(leases)
        for callback in self.assigned_callbacks:
            await callback(self._announced)
        self._joined = True

    async def rewind(self, partitions: Collection[Partition]) -> None:
        """Read these again from where reading begins; chunks of theirs that are on their way are dropped."""
        revocations = self._revocations
        for source in partitions:
            self._leases.pop(source, None)
            self._done.pop(source, None)
        leases = await self._lease(set(partitions) & self._announced)
        if revocations == self._revocations:
            self._install(self._leases | leases)

    async def _lease(self, sources: Collection[Partition]) -> dict[Partition, Lease]:
        found = cast(dict[Partition, Committed], await self._thread.call_thread(self._thread.committed, list(sources)))
        starts = await self.starts({source: found.get(source) for source in sources})
        resumed = {source for source, value in found.items() if starts.get(source) == value.offset}
        for source in sources:
            self._committed.pop(source, None)
        self._committed.update({source: value for source, value in found.items() if source in resumed})
        return cast(dict[Partition, Lease], await self._thread.call_thread(self._thread.seek_to, starts, resumed))

    def _install(self, leases: dict[Partition, Lease]) -> None:
        self._leases = self._thread.leases = leases
        self.app.generation = max((lease.generation for lease in leases.values()), default=self.app.generation)

    def hold_back(self, partitions: Iterable[Partition]) -> None:
        """Hand out no more chunks of these, by a fetch under way neither; what is cut already still comes."""
        self._thread.held_back |= frozenset(partitions)

    def let_go(self, partitions: Iterable[Partition]) -> None:
        self._thread.held_back -= frozenset(partitions)
        self._thread.wake()

    async def verify_all_partitions_active(self) -> None:
        """Called by Faust every few seconds to look at its own book-keeping of fetches.

        Chunks do not go through that, so it would report an error for each partition, for ever; what counts is looked
        at by `watchdog`.
        """

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Chunks jump by design."""

    # Committing

    def ack(self, message: Message) -> bool:
        """Faust also acks messages that it skips (old generation, flow suspended): never let that commit."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def done(self, source: Partition, offset: int, generation: int, metadata: str) -> None:
        """Everything before `offset` is durable. Called in order per partition; another generation's is ignored."""
        lease = self._leases.get(source)
        if lease is not None and lease.generation == generation:
            self._done[source] = Committed(offset, metadata)
            while lease.stamps and lease.stamps[0][0] <= offset:
                lease.stamps.popleft()

    async def force_commit(self, topics: Collection[Any] | None = None, start_new_transaction: bool = True) -> bool:
        """Called by Faust at the commit interval and at stop."""
        return await self.commit_done()

    async def commit_done(self, *, prove: bool = False) -> bool:
        """Commit what is done. With `prove`, also when nothing is new, to see if the group still knows us."""
        async with self._committing:
            offsets = {source: value for source, value in self._done.items() if value != self._committed.get(source)}
            if not offsets and prove:
                offsets = {
                    source: self._committed.get(source, Committed(lease.start, ""))
                    for source, lease in self._leases.items()
                }
            if not offsets:
                return False
            if not await self._thread.call_thread(self._thread.commit_offsets, offsets):
                return False
            self._committed.update(offsets)
            now = time.monotonic()
            for source in offsets.keys() & self._leases.keys():
                self._leases[source].committed_at = now
            return True

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        return cast(
            dict[Partition, Committed], await self._thread.call_thread(self._thread.committed, list(partitions))
        )

    @property
    def joined(self) -> bool:
        """Whether the group has given us our part, which may be nothing, and no rebalance is under way.

        Faust seeks, by which we know it, only where there is something to seek.
        """
        return self._joined or (self.app.unassigned and not self.app.rebalancing)

    def progress(self) -> list[Progress]:
        """How far we are, for each partition that we hold. From any thread."""
        found = []
        for source, lease in list(self._leases.items()):
            committed = self._committed.get(source, Committed(lease.start, ""))
            done = self._done.get(source, committed)
            found.append(
                Progress(
                    source,
                    lease.generation,
                    lease.position,
                    done.offset,
                    committed.offset,
                    lease.committed_at,
                    lease.oldest_ms,
                    lease.aside or source in self._thread.held_back,
                )
            )
        return found

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Called in the rebalance, before the group is joined again: all partitions go (eager protocol)."""
        await super().on_partitions_revoked(revoked)
        await self.give_up()

    async def give_up(self) -> None:
        """Let the app finish what is on its way, commit it, and forget all leases."""
        partitions, self._announced, self._joined = self._announced, frozenset(), False
        self._thread.leases, self._giving_up = {}, True
        try:
            if partitions:
                for callback in self.revoked_callbacks:
                    await callback(partitions)
            await self.commit_done()
        finally:
            self._revocations += 1
            self._giving_up = False
            self._install({})
            self._done.clear()
            self._committed.clear()
            self._thread.held_back = frozenset()


def _message(chunk: Chunk, generation: int) -> ConsumerMessage:
    return ConsumerMessage(
        chunk.topic,
        chunk.partition,
        chunk.end - 1,
        0,
        0,
        [],
        None,
        cast(bytes, chunk),  # Faust carries the value through our codec untouched
        None,
        0,
        0,
        TP(chunk.topic, chunk.partition),
        generation_id=generation,
    )
