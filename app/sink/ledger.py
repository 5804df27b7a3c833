"""The ledger of one rows partition: loaded once it is fenced, then written in transactions.

Writes that wait at the same moment share a transaction; each is all or nothing, and they become visible in the order in
which they were asked for. A write that Kafka does not take is tried again until it does; one that is fenced ends
`serve`, and the task group that it is in ends whoever waits (rules 8 and 11 of the delivery protocol). Keys: "<uid>"
for an export's state, "<uid>/<batch>" for a batch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from app.kafka.codec import batch_codec, dead_letter_codec, state_codec
from app.kafka.dead_letters import letter_key
from app.kafka.names import Names
from app.kafka.reader import read_to_end
from app.kafka.transaction import Record, TransactionalWriter
from app.model.dead_letter import DeadLetter
from app.model.errors import KafkaUnavailable
from app.model.ledger import BatchRecord, ExportState
from app.settings import Settings
from app.sink.clock import BrokerClock

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 0.5
_OWNER_KEY = "owner"


@dataclass(slots=True)
class LedgerContent:
    """What the ledger says: each export's state and its batches."""

    states: dict[str, ExportState] = field(default_factory=dict)
    batches: dict[str, dict[str, BatchRecord]] = field(default_factory=dict)


class Ledger:
    """`open`, then run `serve` in one task group with all who `write`. One per assigned rows partition."""

    def __init__(self, settings: Settings, partition: int, clock: BrokerClock) -> None:
        self.partition = partition
        self._settings = settings
        self._clock = clock
        self._names = Names(settings.topic_prefix)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"ledger-{partition}")
        self._refused = False
        self._writer: TransactionalWriter | None = None
        self._pending: list[tuple[Sequence[Record], asyncio.Future[None]]] = []
        self._wanted = asyncio.Event()

    @property
    def waits(self) -> bool:
        """Whether Kafka took no transaction when it was asked last, and is asked again. From any thread."""
        return self._refused or (self._writer is not None and self._writer.is_unclear)

    async def open(self) -> LedgerContent:
        """Fence all earlier owners, then read the partition to its end. Raises Fenced, KafkaUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._open)

    async def write(self, records: Sequence[Record]) -> None:
        """Return when the records are durable and visible; never, when `serve` has ended."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((records, future))
        self._wanted.set()
        await future

    async def serve(self) -> None:
        """Carry out writes until cancelled. Raises Fenced; writes that wait are then left unanswered."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            pending, self._pending = self._pending, []
            records = [record for part, _ in pending for record in part]
            try:
                await loop.run_in_executor(self._executor, self._write, records)
            except KafkaUnavailable as error:
                _log.warning("ledger %d: %s; trying again", self.partition, error)
                self._refused = True
                self._pending = pending + self._pending
                self._wanted.set()
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._refused = False
            for _, future in pending:
                if not future.done():
                    future.set_result(None)

    def close(self) -> None:
        """Let go of the writer, without waiting for its thread."""
        if self._writer is not None:
            self._writer.give_up()
            self._executor.submit(self._writer.close)
        self._executor.shutdown(wait=False)

    def state(self, state: ExportState) -> Record:
        return self._record(state.export_uid, state_codec.encode(state))

    def batch(self, batch: BatchRecord) -> Record:
        return self._record(f"{batch.export_uid}/{batch.batch_id}", batch_codec.encode(batch))

    def forget(self, export_uid: str, batch_ids: Iterable[str], *, state: bool) -> list[Record]:
        """Tombstones of these batches and, if asked, of the export's state."""
        keys = [f"{export_uid}/{batch_id}" for batch_id in batch_ids] + ([export_uid] if state else [])
        return [self._record(key, None) for key in keys]

    def dead_letter(self, letter: DeadLetter) -> Record:
        key = letter_key(letter.project_id, letter.receiver_id, letter.export_id)
        return Record(self._names.dead_letters, key, dead_letter_codec.encode(letter))

    def _record(self, key: str, value: bytes | None) -> Record:
        return Record(self._names.ledger, key, value, self.partition)

    def _open(self) -> LedgerContent:
        self._writer = TransactionalWriter(self._settings, self._names.transactional_id("sink", self.partition))
        self._writer.start()
        self._write([self._record(_OWNER_KEY, None)])
        content = LedgerContent()
        for message in read_to_end(self._settings, self._names.ledger, self.partition):
            uid, _, batch_id = (message.key() or b"").decode().partition("/")
            data = message.value()
            if uid == _OWNER_KEY:
                continue
            if batch_id:
                batches = content.batches.setdefault(uid, {})
                if data is None:
                    batches.pop(batch_id, None)
                else:
                    batches[batch_id] = batch_codec.decode(data)
            elif data is None:
                content.states.pop(uid, None)
            else:
                content.states[uid] = state_codec.decode(data)
        return content

    def _write(self, records: Sequence[Record]) -> None:
        """The write's own stamp tells the broker's time, also where no rows come."""
        if self._writer is None:
            raise RuntimeError("the ledger is not open")
        self._clock.saw(self._writer.write(records))
