"""Watching the consumer of a process: lag, retention, readiness, and what does not move, from a thread of its own.

Kafka is asked once in `watch_seconds`, for all partitions in one request, and nothing is done for a single event. What
it means is said by `app.kafka.lag`; the process is ended by the Faust side's watchdog.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package re-exports these without saying so
    AdminClient,
    ConfigResource,
    OffsetSpec,
)

from app.kafka.client import learn_leaders
from app.kafka.faust import ChunkApp, Partition, Progress
from app.kafka.lag import FOREVER, LagBook, Lags, Oldest, Place, parked_left
from app.kafka.names import Names
from app.kafka.peek import first_records
from app.observe.pulse import Looks
from app.settings import Settings

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = 5.0
_RETENTION_SECONDS = 600.0
"""How long a topic's retention is believed."""
_MOST_PEEKS = 8
"""Records that are read in one look only for their time; those that are known already do not count."""
_MOST_PARTITIONS = 2000
"""Partitions that one look asks for; of more, it asks in turns."""


def nothing_parked() -> dict[Partition, int]:
    """Of processes without exports that are parked."""
    return {}


class ConsumerWatch:
    """Watches from `start`, or as a context manager. Its properties may be asked from any thread.

    `parked` gives the offset from which the furthest behind of a partition's parked exports will read again.
    """

    def __init__(
        self,
        settings: Settings,
        app: ChunkApp,
        admin: AdminClient,
        *,
        excused: Callable[[Partition], bool] = lambda _source: False,
        position: Callable[[Progress], int] = lambda place: place.done,
        parked: Callable[[], Mapping[Partition, int]] = nothing_parked,
    ) -> None:
        self.lags = Lags()
        self.most_topics = settings.metrics_topics
        self._settings, self._app, self._admin, self._parked = settings, app, admin, parked
        self._book = LagBook(excused, position)
        self._anchor = Partition(Names(settings.topic_prefix).control, 0)
        self._turn = 0
        self._ends: dict[Partition, int] = {}
        self._peeked: dict[Place, Oldest | None] = {}
        self._empty_until: dict[Place, int] = {}
        """Places behind which nothing was, when the partition had this end."""
        self._unreadable: set[Partition] = set()
        """Partitions that Kafka refused to let be read when they were looked at last."""
        self._retention: dict[str, tuple[float, int | None]] = {}
        self._answered_at = self._well_at = float("-inf")
        self._looks = Looks(settings.watch_seconds)
        self._answers = True
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consumer-watch", daemon=True)
        app.watchdog.still_seconds = lambda: self.lags.still_seconds
        app.watchdog.kafka_answers = lambda: self._answers

    def __enter__(self) -> ConsumerWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()

    @property
    def look_age_seconds(self) -> float:
        """Since Kafka answered last."""
        return time.monotonic() - self._answered_at

    def why_not_ready(self) -> str | None:
        """None while the group has given us our part and Kafka answers; a moment without either is let be."""
        now, patience = time.monotonic(), self._settings.unready_after_seconds
        if self._answered_at == float("-inf"):
            return "Not ready: Kafka has not answered yet."
        if now - self._answered_at > patience + self._settings.watch_seconds:
            return f"Not ready: Kafka has not answered for {now - self._answered_at:.0f} s."
        if self._app.joined:
            self._well_at = now
        if now - self._well_at <= patience:
            return None
        return "Not ready: the consumer group has not given this process its part."

    def look(self) -> None:
        """Ask Kafka, and take what it says."""
        now = time.monotonic()
        if self._app.joined:
            self._well_at = now  # also where nobody asks for readiness in between
        elapsed = self._looks.elapsed(now)
        progress = self._app.progress()
        self._answers = self._ask_ends([place.source for place in progress])
        if not self._answers:
            self._book.forgive()
            self.lags = replace(self.lags, still_seconds=0.0)
            return
        self._answered_at = time.monotonic()
        parked = {(*source, offset): None for source, offset in self._parked().items()}
        self._peek([*parked, *self._book.to_look_at(progress, self._ends)])
        behind = {p.source.topic for p in progress if self._ends.get(p.source, 0) > p.committed}
        retention = self._retentions(behind | {topic for topic, _, _ in parked})
        now_ms = time.time_ns() // 1_000_000
        lags = self._book.look(
            progress,
            self._ends,
            self._peeked,
            retention,
            now=time.monotonic(),
            now_ms=now_ms,
            elapsed_seconds=elapsed,
            busy=self._app.handing_over,
        )
        left = (parked_left(at, self._peeked.get(at), retention.get(at[0]), now_ms) for at in parked)
        self.lags = Lags(lags.partitions, min(left, default=FOREVER), lags.commit_age_seconds, lags.still_seconds)
        wanted = {*parked, *((*place.source, place.committed) for place in progress)}
        self._peeked = {at: record for at, record in self._peeked.items() if at in wanted}
        self._empty_until = {at: end for at, end in self._empty_until.items() if at in wanted}

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except (KafkaException, TimeoutError) as error:
                _log.warning("how far the consumer is behind could not be asked: %s", error)
            except Exception:
                _log.exception("a look at the consumer failed")
            if self._closing.wait(self._settings.watch_seconds):
                return

    def _ask_ends(self, sources: list[Partition]) -> bool:
        """Whether Kafka answered; partitions that it says nothing of keep their last end."""
        if len(sources) > _MOST_PARTITIONS:
            self._turn = (self._turn + 1) % -(-len(sources) // _MOST_PARTITIONS)
            sources = sorted(sources)[self._turn * _MOST_PARTITIONS :][:_MOST_PARTITIONS]
        else:
            self._ends = {source: self._ends[source] for source in sources if source in self._ends}
        try:
            futures = self._admin.list_offsets(
                {TopicPartition(*source): OffsetSpec.latest() for source in {self._anchor, *sources}},  # type: ignore[no-untyped-call]
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_REQUEST_SECONDS,
            )
        except KafkaException as error:
            _log.warning("how far the consumer is behind could not be asked: %s", error)
            return False
        answered = refused = False
        for place, future in futures.items():
            try:
                self._ends[Partition(place.topic, place.partition)] = future.result(_REQUEST_SECONDS + 1).offset
                answered = True
            except (KafkaException, TimeoutError):
                refused = True
        if refused:
            learn_leaders(self._admin, self._anchor.topic)
        return answered

    def _peek(self, places: list[Place]) -> None:
        """One place a partition, the first few that are not known; where nothing was, again when there is a new end.

        Partitions that could not be read come last, so that they keep no others from being looked at.
        """
        unknown: dict[Partition, Place] = {}
        for at in sorted(places, key=lambda at: Partition(*at[:2]) in self._unreadable):
            source = Partition(*at[:2])
            end = self._ends.get(source, 0)
            if len(unknown) < _MOST_PEEKS and self._peeked.get(at) is None and self._empty_until.get(at) != end:
                unknown.setdefault(source, at)
        found, refused = first_records(self._settings, list(unknown.values()))
        self._peeked |= found
        for source, why in refused.items():
            if source not in self._unreadable:
                _log.error("%s/%d: the oldest record that waits cannot be looked at: %s", *source, why)
        self._unreadable = (self._unreadable - unknown.keys()) | refused.keys()
        for at, record in found.items():
            if record is None:
                self._empty_until[at] = self._ends.get(Partition(*at[:2]), 0)

    def _retentions(self, topics: set[str]) -> dict[str, int | None]:
        """`retention.ms` of each of these topics, None where nothing is deleted by time; asked again from time to time.

        A topic that Kafka does not describe has what our plan gives it.
        """
        now = time.monotonic()
        asked = [t for t in topics if now - self._retention.get(t, (float("-inf"), None))[0] > _RETENTION_SECONDS]
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in asked]
        answers = self._admin.describe_configs(resources, request_timeout=_REQUEST_SECONDS) if resources else {}
        for resource, answer in answers.items():
            try:
                config = answer.result(_REQUEST_SECONDS + 1)
            except (KafkaException, TimeoutError):
                continue
            found = int(config["retention.ms"].value)
            deletes = "delete" in config["cleanup.policy"].value and found >= 0
            self._retention[resource.name] = now, found if deletes else None
        planned = int(self._settings.retention_hours * 3_600_000)
        return {topic: self._retention.get(topic, (now, planned))[1] for topic in topics}
