"""The fenced way into the control log for the projects of one commands partition.

One transaction at a time, each with produces only; when `transact` returns, the view has what it wrote, so a decision
made on the view under the lock is made on the newest state (delivery protocol, rule 23).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from app.kafka.codec import ControlValue, control_codec
from app.kafka.names import Names
from app.kafka.transaction import Fenced, Record, TransactionalWriter
from app.kafka.view import ControlView
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.settings import Settings

TRANSACTION_SECONDS = 10.0
_AGAIN_SECONDS = 0.5
_log = logging.getLogger(__name__)


class Interrupted(Exception):
    """Nothing was written, and the log may have changed: decide again, from what the view says now."""


class Closed(Exception):
    """The partition is not ours any more, or the process stops: leave everything as it is."""


class Echo:
    """Waits until a view has a record that was written. One for a view.

    A read barrier does not say that: a commit is answered before its marker is in the partition, so the last stable
    offset that is asked for right after it may still be the old one (Kafka 4.1; seen in tests).
    """

    def __init__(self, view: ControlView) -> None:
        self._awaited: dict[str, tuple[ControlValue | None, asyncio.Future[None]]] = {}
        view.listen(self._on_change)

    def expect(self, record: Record) -> asyncio.Future[None]:
        """Call it before the write; the future is done when the view has the record."""
        value = None if record.value is None else control_codec.decode(record.value)
        key = record.key if isinstance(record.key, str) else record.key.decode()
        future = asyncio.get_running_loop().create_future()
        self._awaited[key] = (value, future)
        return future

    def _on_change(self, key: str, value: ControlValue | None) -> None:
        awaited = self._awaited.get(key)
        if awaited is not None and awaited[0] == value:
            del self._awaited[key]
            if not awaited[1].done():
                awaited[1].set_result(None)


class ControlLog:
    """`still_ours` asks the consumer group whether the partition is ours (delivery protocol, rule 11)."""

    def __init__(
        self,
        settings: Settings,
        partition: int,
        view: ControlView,
        echo: Echo,
        still_ours: Callable[[], Awaitable[bool]],
    ) -> None:
        self.names = Names(settings.topic_prefix)
        self._settings, self._view, self._echo, self._still_ours = settings, view, echo, still_ours
        self._id = self.names.transactional_id("control", partition)
        self._lock = asyncio.Lock()
        self._writer: TransactionalWriter | None = None
        self._closing = False

    @property
    def catalog(self) -> Catalog:
        return self._view.catalog

    async def open(self) -> None:
        """Fence earlier owners and wait until the view has all that they wrote. Raises Closed."""
        async with self._lock:
            await self._init()

    async def transact(self, decide: Callable[[], Sequence[Record]]) -> None:
        """Write what `decide` returns, all or nothing, and wait until the view has it.

        `decide` is called under the lock, so the view cannot miss a write of ours. Raises Interrupted when nothing was
        written, Closed when nothing more will be, or when what was written has not come to the view by then.
        """
        async with self._lock:
            self._check_open()
            records = decide()
            if not records:
                return
            writer = self._writer
            assert writer is not None
            seen = self._echo.expect(records[-1])
            try:
                await asyncio.to_thread(writer.write, records)
            except (Fenced, KafkaUnavailable) as trouble:
                seen.cancel()
                _log.warning("%s", trouble.message)
                await self._regain()
                raise Interrupted from trouble
            await self._wait_for(seen)

    async def check_ours(self) -> None:
        """Raises Closed when nothing more will be written."""
        async with self._lock:
            self._check_open()

    def stop(self) -> None:
        """No more writes; the one under way ends."""
        self._closing = True

    async def close(self) -> None:
        self.stop()
        async with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                await asyncio.to_thread(writer.close)

    async def _regain(self) -> None:
        """Take the id again once the group says that the partition is ours; else wait to be closed."""
        while not await self._still_ours():
            self._check_open()
            await asyncio.sleep(_AGAIN_SECONDS)
        await self._init()

    async def _init(self) -> None:
        while True:
            self._check_open()
            writer = TransactionalWriter(self._settings, self._id, timeout_seconds=TRANSACTION_SECONDS)
            try:
                await asyncio.to_thread(writer.start)
                break
            except (Fenced, KafkaUnavailable) as trouble:
                _log.warning("%s", trouble.message)
                await asyncio.to_thread(writer.close)
                await asyncio.sleep(_AGAIN_SECONDS)
        self._writer = writer
        await self._barrier()

    async def _wait_for(self, seen: asyncio.Future[None]) -> None:
        while not seen.done():
            self._check_open()  # what was written is written, but nothing may be decided without it
            await asyncio.wait([seen], timeout=_AGAIN_SECONDS)

    async def _barrier(self) -> None:
        while True:
            try:
                await self._view.caught_up()
                return
            except KafkaUnavailable as trouble:
                _log.warning("%s", trouble.message)
                self._check_open()

    def _check_open(self) -> None:
        if self._closing:
            raise Closed
