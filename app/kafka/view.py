"""A live view of the control log: what is configured now, and a read barrier.

A consumer without a group reads the log from its start, committed records only, in a thread; its records are applied to
the catalog on the event loop, so a reader there always sees a whole state. `await view.caught_up()` returns when
everything that was in the log at the call is in the catalog (delivery protocol, rule 6).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from app.kafka.client import connect_admin, consumer_config, learn_leaders
from app.kafka.codec import CodecError, ControlValue, control_codec
from app.kafka.names import Names
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.errors import KafkaUnavailable
from app.model.receiver import Draining, Export, Receiver
from app.model.replay import Replay
from app.model.task import Forgotten
from app.settings import Settings

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = 10
Listener = Callable[[str, ControlValue | None], None]


class ControlView:
    """`start` it on a running loop; then `catalog` is live. Keys of the log are "receiver:<entity>", "export:<entity>",
    "draining:<export uid>", "replay:<export uid>/<lane>", "task:<id>", "forgotten:<commands partition>",
    "binding:<receiver uid>/<topic>".
    """

    def __init__(self, settings: Settings) -> None:
        self.catalog = Catalog()
        self._drops = {
            "receiver": self.catalog.drop_receiver,
            "export": self.catalog.drop_export,
            "draining": self.catalog.drop_draining,
            "replay": self.catalog.drop_replay,
            "task": self.catalog.drop_task,
            "forgotten": self.catalog.drop_forgotten,
            "binding": self.catalog.drop_binding,
        }
        self.met_end_at = float("-inf")
        """Monotonic time at which the view last asked for the log's end and then met it; how fresh it is."""
        self._settings = settings
        self._partition = TopicPartition(Names(settings.topic_prefix).control, 0)
        self._listeners: list[Listener] = []
        self._position = 0
        self._moved = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._wanted = asyncio.Event()
        self._closing = threading.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> ControlView:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Begin to read and wait until the view has met the log's end once.

        Raises KafkaUnavailable; then it may be called again.
        """
        if not self._tasks:
            self._loop = asyncio.get_running_loop()
            self._admin = await asyncio.to_thread(connect_admin, self._settings)
            self._thread = threading.Thread(target=self._read, name="control-view", daemon=True)
            self._thread.start()
            self._tasks = [asyncio.create_task(self._serve_barriers(), name="control-view-barriers")]
        await self.caught_up(30)

    async def close(self) -> None:
        self._closing.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await asyncio.to_thread(self._thread.join, 5)

    def listen(self, listener: Listener) -> None:
        """Call `listener(key, value)` on the event loop after each change; value None means the entity has ended."""
        self._listeners.append(listener)

    async def caught_up(self, timeout_seconds: float = 10) -> None:
        """The read barrier. Raises KafkaUnavailable when it is not met in time."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        self._wanted.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await waiter
        except TimeoutError as error:
            raise KafkaUnavailable(f"The control log was not read to its end within {timeout_seconds:g} s.") from error

    async def _serve_barriers(self) -> None:
        """One question to the broker for all callers that wait at the moment."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            waiters, self._waiters = self._waiters, []
            asked_at = time.monotonic()
            try:
                target = await self._end_offset()
                while self._position < target:
                    self._moved.clear()
                    await self._moved.wait()
            except (KafkaException, TimeoutError) as error:
                _log.warning("control log: no end offset: %s", error)
                self._waiters += [waiter for waiter in waiters if not waiter.done()]
                await asyncio.to_thread(learn_leaders, self._admin, self._partition.topic)
                await asyncio.sleep(0.2)
                self._wanted.set()
                continue
            self.met_end_at = asked_at
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def _end_offset(self) -> int:
        futures = self._admin.list_offsets(
            {self._partition: OffsetSpec.latest()},  # type: ignore[no-untyped-call]  # the package has no types here
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_REQUEST_SECONDS,
        )
        result = await asyncio.wait_for(asyncio.wrap_future(futures[self._partition]), _REQUEST_SECONDS + 1)
        return int(result.offset)

    def _read(self) -> None:
        consumer = Consumer(consumer_config(self._settings, enable_partition_eof=True, fetch_wait_max_ms=100))
        try:
            consumer.assign([TopicPartition(self._partition.topic, 0, 0)])
            while not self._closing.is_set():
                first = consumer.poll(0.2)
                if first is not None:
                    messages = [first, *consumer.consume(1000, 0)]
                    self._loop.call_soon_threadsafe(self._apply, messages)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
        finally:
            consumer.close()

    def _apply(self, messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            offset = message.offset()
            if error is None:
                self._take(message)
                self._position = (offset or 0) + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                self._position = max(self._position, offset or 0)
            else:
                _log.warning("control log: %s", error.str())
        self._moved.set()

    def _take(self, message: Message) -> None:
        """Apply one record; one that is not ours is said and skipped, so that those behind it still count."""
        key, data = (message.key() or b"").decode(errors="replace"), message.value()
        kind, _, entity = key.partition(":")
        try:
            value = None if data is None else control_codec.decode(data)
        except CodecError as error:
            _log.error("control log offset %s is skipped: %s", message.offset(), error)
            return
        if value is None:
            if kind not in self._drops:
                _log.error("control log offset %s is skipped: nothing of ours has the key %r", message.offset(), key)
                return
            self._drops[kind](entity)
        elif isinstance(value, Receiver):
            self.catalog.put_receiver(value)
        elif isinstance(value, Export):
            self.catalog.put_export(value)
        elif isinstance(value, Draining):
            self.catalog.put_draining(value)
        elif isinstance(value, Replay):
            self.catalog.put_replay(value)
        elif isinstance(value, Forgotten):
            self.catalog.put_forgotten(value)
        elif isinstance(value, Binding):
            self.catalog.put_binding(value)
        else:
            self.catalog.put_task(value)
        for listener in self._listeners:
            listener(key, value)


def control_key(kind: str, entity: str) -> str:
    """The key in the control log: kind "receiver", "export", "draining", "replay", "task", "forgotten" or "binding"."""
    return f"{kind}:{entity}"
