"""The quota of a receiver: how many bytes may be accepted for it that are not in its tables yet; then 507.

A receiver's backlog is the sum over its exports of what is staged but not imported (the ledger says how many bytes) and
of what is not staged yet: the events between the ledger's marks and the end of the receiver's topic, at the size that
the export's rows had lately. It is asked for every few seconds; in between, each gateway adds what it accepts itself.
So it includes what other gateways and Kafka producers send, is right again after any restart, and the most that is
accepted beyond the quota is what all senders send in these few seconds. Source: Buffer API, quota.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from app.gateway.answers import insufficient_storage
from app.gateway.directory import Directory
from app.gateway.usage import Usage
from app.kafka.client import connect_admin, learn_leaders
from app.kafka.progress import ExportProgress, LedgerProgress
from app.kafka.view import ControlView
from app.model.conditions import MIB
from app.model.errors import KafkaUnavailable
from app.model.receiver import Export, Receiver
from app.settings import Settings

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = 10
_TELL_SECONDS = 300
_GUESSED_BYTES = 1024
"""Of an event of a receiver of which neither a batch nor an event has been seen."""


def backlog_bytes(
    exports: Iterable[tuple[Export, ExportProgress]], topic_id: str, ends: Mapping[int, int], event_bytes: float
) -> int:
    """Bytes accepted for these exports and on their way into their tables. `ends`: the topic's next offset by
    partition; `event_bytes`: the size of an event of which no row has been seen. Pure.

    Of an export that is stopped, what is not staged does not count: only a person can bring it on.
    """
    total = 0.0
    for export, progress in exports:
        events = 0
        for partition, end in () if progress.stopped else ends.items():
            mark = progress.marks.get((topic_id, partition), 0)
            events += max(0, end - max(mark, export.start(topic_id, partition)))
        total += progress.waiting_bytes + events * (progress.row_bytes or event_bytes)
    return int(total)


class Quota:
    """Keeps every receiver's `Usage` up to date; run `follow` in a task of its own."""

    def __init__(self, settings: Settings, view: ControlView, directory: Directory) -> None:
        self.limit_bytes = settings.receiver_quota_mib * MIB
        self._settings, self._view, self._directory = settings, view, directory
        self._told: dict[str, float] = {}
        self._trouble = ""

    async def follow(self) -> None:
        """Ask again and again, whatever goes wrong in between. The ledger is read for as long as this runs."""
        admin = await self._connect()
        progress = LedgerProgress(self._settings)
        progress.start()
        try:
            while True:
                await asyncio.sleep(self._settings.quota_check_seconds)
                if progress.complete:
                    try:
                        await self._look(admin, progress)
                    except Exception as error:  # unforeseen; what ended here would end the gateway
                        self._warn(f"{type(error).__name__}: {error}")
        finally:
            progress.close()

    async def _connect(self) -> AdminClient:
        while True:
            try:
                return await asyncio.to_thread(connect_admin, self._settings)
            except KafkaUnavailable:
                await asyncio.sleep(self._settings.quota_check_seconds)

    async def _look(self, admin: AdminClient, progress: LedgerProgress) -> None:
        """What was accepted before the ends were asked for is before them; what comes meanwhile is added."""
        receivers = [r for r in self._view.catalog.receivers.values() if not r.is_bound]  # nobody is refused there
        usages = {receiver.uid: self._directory.usage(receiver.uid) for receiver in receivers}
        accepted = {uid: usage.accepted_bytes for uid, usage in usages.items()}
        ends = await self._ends(admin, receivers)
        for receiver in receivers:
            if receiver.topic not in ends:
                continue
            exports = self._view.catalog.exports_of(receiver)
            usage = usages[receiver.uid]
            event_bytes = usage.body_bytes / usage.events if usage.events else _GUESSED_BYTES
            pairs = [(export, progress.of(export.uid)) for export in exports]
            usage.exports = len(exports)
            usage.backlog_bytes = backlog_bytes(pairs, receiver.topic_id, ends[receiver.topic], event_bytes)
            usage.accepted_bytes -= accepted[receiver.uid]
            if usage.bytes >= self.limit_bytes:
                self._tell(receiver, usage)

    async def _ends(self, admin: AdminClient, receivers: Iterable[Receiver]) -> dict[str, dict[int, int]]:
        """The next offset of each partition, by topic; a topic that Kafka says nothing of is left out."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the package has no types here
        wanted = {TopicPartition(r.topic, number): latest for r in receivers for number in range(r.partitions)}
        if not wanted:
            return {}
        futures = admin.list_offsets(
            wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_REQUEST_SECONDS
        )
        ends: dict[str, dict[int, int]] = {}
        failed: set[str] = set()
        for place, future in futures.items():
            try:
                result = await asyncio.wait_for(asyncio.wrap_future(future), _REQUEST_SECONDS + 1)
                ends.setdefault(place.topic, {})[place.partition] = int(result.offset)
            except (KafkaException, TimeoutError) as error:
                failed.add(place.topic)
                self._warn(f"no end offset of {place.topic}/{place.partition}: {error}")
        for topic in failed:
            ends.pop(topic, None)
            await asyncio.to_thread(learn_leaders, admin, topic)
        if not failed:
            self._trouble = ""
        return ends

    def _warn(self, trouble: str) -> None:
        if not self._trouble:
            _log.warning("quota: %s; the last known figures count", trouble)
        self._trouble = trouble

    def _tell(self, receiver: Receiver, usage: Usage) -> None:
        """At most every five minutes for a receiver, as the Buffer API does."""
        now = time.monotonic()
        if now - self._told.get(receiver.uid, float("-inf")) >= _TELL_SECONDS:
            self._told[receiver.uid] = now
            refusal = insufficient_storage(receiver.receiver_id, usage.bytes, self.limit_bytes)
            _log.error("%s Senders are answered 507 until imports have freed some.", refusal.message)
