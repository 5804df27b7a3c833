"""The consumer's own thread: fetch chunks, seek, commit, ask for commits. All calls into aiokafka happen here.

Differs from Faust's thread: records leave as chunks with their positions, bounded in records and bytes; a partition is
read only under a lease (after our own seek); an offset out of range is accounted for, not skipped in silence.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import aiokafka
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import (
    ConsumerStoppedError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver

from app.kafka.faust.chunk import Chunk, Committed, Partition, Record
from app.kafka.faust.metadata import create_no_topics, update_at_once

_log = logging.getLogger(__name__)
_STEP_RECORDS = 100
"""Records that are taken at once, after 1, 2, 4 ..: so few large ones pass a chunk's bytes by as much again at most."""
_WAIT_SECONDS = 0.1
_COMMIT_SECONDS = 5
_ASIDE_SECONDS = 5
_generations = itertools.count(1)


@dataclass(slots=True)
class Lease:
    """The right to read one partition, from a seek to the next revocation or seek."""

    generation: int
    start: int
    position: int
    resumed: bool
    """Whether reading began at a commit, so that what is missing from there on was lost."""
    lost: int = 0
    aside: bool = False
    """Whether Kafka refuses to let the partition be read."""
    committed_at: float = field(default_factory=time.monotonic)
    """Monotonic time of the last commit, or of the seek."""
    stamps: deque[tuple[int, int]] = field(default_factory=deque)
    """Of each chunk that is not done as a whole, with records: its end, and the broker's time of its first record."""

    @property
    def oldest_ms(self) -> int | None:
        """The first of `stamps`, from any thread."""
        try:
            return self.stamps[0][1]
        except IndexError:
            return None


class ChunkThread(driver.AIOKafkaConsumerThread):
    """`leases` and `held_back` are replaced as a whole by the consumer on the main loop, and only read here."""

    logger = logging.getLogger("faust")  # what mode says about its services goes under Faust's name
    arguments: dict[str, Any]
    chunk_records: int
    chunk_bytes: int
    leases: Mapping[Partition, Lease]
    held_back: frozenset[Partition]
    """Not to be cut now. A fetch that waits for records must see it too, so it is read when they are taken."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        """Faust has no setting for the fetch sizes, isolation and SASL that we need.

        Round robin also while members' subscriptions differ: Faust's own assignor gives partition i of every topic to
        the same member. No reset policy: what to do about a lost position is decided here.
        """
        self._assignor = RoundRobinPartitionAssignor
        create_no_topics()
        consumer = aiokafka.AIOKafkaConsumer(
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            **self.arguments,
        )
        update_at_once(consumer._client)
        return consumer

    async def fetch(self, active: Collection[Partition]) -> list[Chunk]:
        """At most one chunk of each of these partitions; waits up to 0.1 s for the first."""
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        if consumer._subscription.reassignment_in_progress:
            await asyncio.sleep(0.02)
            return []
        with consumer._subscription.fetch_context():
            chunks = await self._take(consumer, active)
            if not chunks:
                waiter = fetcher._create_fetch_waiter()
                await asyncio.wait([waiter], timeout=_WAIT_SECONDS)
                if not waiter.done():
                    waiter.cancel()
                    return []
                waiter.result()
                chunks = await self._take(consumer, active)
        return chunks

    async def _take(self, consumer: Any, active: Collection[Partition]) -> list[Chunk]:
        fetcher, leases, chunks = consumer._fetcher, self.leases, []
        held_back = self.held_back
        for tp, result in list(fetcher._records.items()):
            source = Partition(tp.topic, tp.partition)
            lease = leases.get(source)
            if lease is None or source not in active or source in held_back:
                if not consumer._subscription.is_assigned(tp):
                    del fetcher._records[tp]
                continue
            try:
                if isinstance(result, FetchResult):
                    chunk = self._cut(result, source, lease)
                    if chunk is not None:
                        chunks.append(chunk)
                    if result.has_more():
                        continue
                else:
                    result.check_raise()
            except NoOffsetForPartitionError:
                pass  # asked by aiokafka before our seek
            except OffsetOutOfRangeError:
                await self._recover(consumer, tp, lease)
            except (KafkaError, UnicodeDecodeError) as error:
                self._set_aside(consumer, tp, lease, error)
            fetcher._records.pop(tp, None)
            fetcher._notify(fetcher._wait_consume_future)
        return chunks

    def _cut(self, result: Any, source: Partition, lease: Lease) -> Chunk | None:
        """The next chunk of what was fetched, or None when nothing is left of it.

        Where only markers of transactions and aborted records were fetched it has no records: the position moves.

        aiokafka's wrapper around each record costs as much as parsing it, so the parser's own record is taken.
        """
        if not result.has_more() or not result.check_assignment(TopicPartition(*source)):
            return None
        parsed = result._partition_records
        parsed._consumer_record = _as_parsed
        records: list[Record] = []
        size = 0
        step_records = 1
        while len(records) < self.chunk_records and size < self.chunk_bytes:
            wanted = min(step_records, self.chunk_records - len(records))
            step_records = min(2 * step_records, _STEP_RECORDS)
            step = list(islice(parsed._records_iterator, wanted))
            records += step
            size += sum([len(record.value or b"") for record in step])
            if len(step) < wanted:
                result._update_position()
                result._partition_records = None
                break
        else:
            result._update_position()
        if parsed.next_fetch_offset == lease.position:
            return None
        base, lost = lease.position, lease.lost
        lease.position, lease.lost, lease.aside = parsed.next_fetch_offset, 0, False
        if records:
            lease.stamps.append((lease.position, records[0].timestamp))
        return Chunk(*source, base, lease.position, records, lease.generation, size, lost)

    async def _recover(self, consumer: Any, tp: TopicPartition, lease: Lease) -> None:
        """The position is not in the log. Go on at its start, and say what that means."""
        earliest = (await consumer.beginning_offsets([tp]))[tp]
        if earliest < lease.position:
            _log.error(
                "%s/%d: offset %d is beyond the end, so the topic was cut or made again; reading it from its start, %d",
                *(tp.topic, tp.partition, lease.position, earliest),
            )
            lease.position = earliest
        elif lease.resumed:
            lease.lost = earliest - lease.position
            _log.error(
                "%s/%d: retention deleted %d offsets (%d to %d) before they were read; going on at %d",
                *(tp.topic, tp.partition, lease.lost, lease.position, earliest - 1, earliest),
            )
        consumer.seek(tp, earliest)

    def _set_aside(self, consumer: Any, tp: TopicPartition, lease: Lease, error: Exception) -> None:
        """A partition that cannot be read (no permission, a damaged batch) must not stop the others."""
        _log.error("%s/%d cannot be read from offset %d on: %r", tp.topic, tp.partition, lease.position, error)
        lease.aside = True
        consumer.seek(tp, lease.position)
        consumer.pause(tp)

        def again() -> None:
            if consumer._subscription.is_assigned(tp):
                consumer.resume(tp)

        self.thread_loop.call_later(_ASIDE_SECONDS, again)

    def wake(self) -> None:
        """From any thread: look again, a partition was resumed."""

        def notify() -> None:
            if self._consumer is not None and self._consumer._fetcher is not None:
                for waiter in list(self._consumer._fetcher._fetch_waiters):
                    self._consumer._fetcher._notify(waiter)

        self.thread_loop.call_soon_threadsafe(notify)

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, Committed]:
        """What the group has committed; partitions without a commit are left out. One request for all."""
        coordinator = self._ensure_consumer()._coordinator
        found = await coordinator.fetch_committed_offsets([TopicPartition(*source) for source in partitions])
        return {
            Partition(tp.topic, tp.partition): Committed(value.offset, value.metadata or "")
            for tp, value in found.items()
        }

    async def assigned(self) -> set[Partition]:
        """Partitions of the current assignment."""
        tps = self._ensure_consumer()._subscription.assigned_partitions()
        return {Partition(tp.topic, tp.partition) for tp in tps}

    async def seek_to(self, starts: Mapping[Partition, int], resumed: Collection[Partition]) -> dict[Partition, Lease]:
        """Go to these offsets and give out new leases; partitions that were revoked meanwhile are left out."""
        consumer = self._ensure_consumer()
        generation, leases = next(_generations), {}
        for source, offset in starts.items():
            tp = TopicPartition(*source)
            if consumer._subscription.is_assigned(tp):
                consumer.seek(tp, offset)
                leases[source] = Lease(generation, offset, offset, source in resumed)
        return leases

    async def commit_offsets(self, offsets: Mapping[Partition, Committed]) -> bool:
        """Whether the group took these offsets under our generation.

        Faust's commit crashes the worker when a resubscribe is under way (the assignment is None then), discards the
        commit of the rebalance that it causes, and remembers a failed commit as done.
        """
        coordinator = self._ensure_consumer()._coordinator
        values = {TopicPartition(*source): OffsetAndMetadata(*value) for source, value in offsets.items()}
        try:
            await asyncio.wait_for(coordinator.commit_offsets(None, values), _COMMIT_SECONDS)
        except (KafkaError, TimeoutError) as error:
            _log.warning("commit of %d partitions failed: %s", len(values), error or type(error).__name__)
            return False
        return True


def _as_parsed(tp: TopicPartition, record: Record) -> Record:
    return record
