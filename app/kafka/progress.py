"""How far each export has come, followed in the ledger: what is staged up to where, and what is not in its table yet.

A consumer without a group reads all partitions of the ledger from their start, committed records only, in a thread of
its own. Of each export it keeps marks and a number for each batch that is not finished, nothing of the batches that
are: so it is small however long the ledger remembers.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from app.kafka.client import consumer_config
from app.kafka.codec import CodecError, batch_codec, state_codec
from app.kafka.names import Names
from app.model.ledger import BatchRecord, ExportState, Phase
from app.model.receiver import LIVE_LANE
from app.model.replay import is_lane_number
from app.settings import Settings

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
_BLOCK_RECORDS = 200
_PAUSE_SECONDS = 0.005
"""After each block of a long ledger, so that the event loop of the process has its turn."""
_AT_AN_END = frozenset({Phase.IMPORTED, Phase.UNCLEAR, Phase.EXPIRED})
"""What is in its table, and what only a person can bring there: it holds no place that more imports would free."""


@dataclass(slots=True)
class ExportProgress:
    """Of one export. `marks`: next source offset by (topic id, partition) of live events; what lies before is in slices
    or needs none. `staged_bytes`: CSV bytes in slices, by batch that is not at an end.
    """

    marks: dict[tuple[str, int], int] = field(default_factory=dict)
    staged_bytes: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    """Whether nothing more is staged until a person has looked."""
    row_bytes: float | None = None
    """CSV bytes of a row, on average in the newest batch that was seen."""

    def take_state(self, state: ExportState) -> None:
        self.marks = {
            (mark.source.topic_id, mark.source.partition): mark.next_offset
            for mark in state.marks
            if mark.source.lane == LIVE_LANE
        }
        self.stopped = state.stopped

    def take_batch(self, batch: BatchRecord) -> None:
        """Those of replays are left out: their events were accepted, and counted, when they came."""
        if is_lane_number(batch.revision):
            return
        size_bytes = sum(part.csv_bytes for part in batch.slices)
        if batch.count:
            self.row_bytes = size_bytes / batch.count
        if batch.phase in _AT_AN_END:
            self.staged_bytes.pop(batch.batch_id, None)
        else:
            self.staged_bytes[batch.batch_id] = size_bytes

    @property
    def waiting_bytes(self) -> int:
        """Staged and not in the table."""
        return sum(list(self.staged_bytes.values()))


class LedgerProgress:
    """`start` it once; `of` answers at any time from any thread. `complete`: the ledger was read to its end once."""

    def __init__(self, settings: Settings) -> None:
        self.complete = False
        self._settings = settings
        self._exports: dict[str, ExportProgress] = {}
        self._unread: set[int] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="ledger-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout_seconds: float = 5) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def of(self, export_uid: str) -> ExportProgress:
        """The export's; an empty one when the ledger does not know it (yet)."""
        return self._exports.get(export_uid) or ExportProgress()

    def take(self, key: bytes, value: bytes | None) -> None:
        """One record of the ledger. Keys: "<uid>" for an export's state, "<uid>/<batch>" for a batch."""
        uid, _, batch_id = key.decode(errors="replace").partition("/")
        if value is None:
            if not batch_id:
                self._exports.pop(uid, None)
            elif uid in self._exports:
                self._exports[uid].staged_bytes.pop(batch_id, None)
            return
        progress = self._exports.setdefault(uid, ExportProgress())
        if batch_id:
            progress.take_batch(batch_codec.decode(value))
        else:
            progress.take_state(state_codec.decode(value))

    def _read(self) -> None:
        config = consumer_config(self._settings, enable_partition_eof=True, queued_max_messages_kbytes=4096)
        consumer = Consumer(config)
        topic = Names(self._settings.topic_prefix).ledger
        try:
            self._unread = self._partitions(consumer, topic)
            consumer.assign([TopicPartition(topic, partition, 0) for partition in sorted(self._unread)])
            while not self._closing.is_set():
                first = consumer.poll(0.2)
                if first is None:
                    continue
                for message in (first, *consumer.consume(_BLOCK_RECORDS, 0)):
                    self._look_at(message)
                time.sleep(_PAUSE_SECONDS)
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer, topic: str) -> set[int]:
        """Those that the ledger has, whatever the settings say; asked until Kafka answers. None when told to close."""
        told = False
        while not self._closing.is_set():
            try:
                partitions = consumer.list_topics(topic, _REQUEST_SECONDS).topics[topic].partitions
            except KafkaException as error:
                partitions = {}
                if not told:
                    _log.warning("ledger: %s", error.args[0].str())
                told = True
            if partitions:
                return set(partitions)
            self._closing.wait(_AGAIN_SECONDS)
        return set()

    def _look_at(self, message: Message) -> None:
        error = message.error()
        if error is None:
            try:
                self.take(message.key() or b"", message.value())
            except CodecError as problem:
                _log.error("ledger offset %s is skipped: %s", message.offset(), problem)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._unread.discard(message.partition() or 0)
            self.complete = self.complete or not self._unread
        else:
            _log.warning("ledger: %s", error.str())
