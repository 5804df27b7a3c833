"""Events for a dry run: those of a request, those that a body describes, or the receiver's newest from Kafka.

Each has the headers, address and body with which the mapper would read it from Kafka.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.api.bodies import Sent, plain_body, take_apart
from app.api.headers import EventNames, TrustedProxies
from app.api.reads import Reads
from app.api.split import at_once
from app.api.trials import sample_batch, taken_batch
from app.kafka.each_topic import read_each
from app.kafka.events import to_batch
from app.kafka.recent import RecentRecord, newest_of, read_recent
from app.mapping.headers import canonical_name
from app.model.binding import SourceTopic
from app.model.errors import KafkaUnavailable, PayloadTooLarge
from app.model.event import RESERVED_PREFIX, EventBatch, Headers
from app.model.receiver import Receiver
from app.settings import Settings

MAX_RECENT_BYTES = 4 << 20
"""Bodies and headers of real events that one dry run reads."""
_CALLERS = frozenset(("X-Storageapi-Token", "Authorization", "Proxy-Authorization", "Cookie"))
"""Headers that say who calls the API; no event of a sample has them, for a dry run shows events."""


class Samples:
    """Used on one event loop."""

    def __init__(self, settings: Settings, reads: Reads) -> None:
        self._settings, self._reads = settings, reads
        self._names = EventNames()
        self._proxies = TrustedProxies(settings.trusted_proxies)

    def sent(
        self, body: bytes, headers: Sequence[tuple[bytes, bytes]], peer: str, receiver: str, *, split: bool
    ) -> EventBatch:
        """The events of a request, as they would be if it had come to the URL of the receiver ("<project>/<receiver>").

        `headers` are the request's; those that say who calls are left out. Raises BadRequest, PayloadTooLarge or
        UnsupportedMediaType.
        """
        fields = [(name, value) for raw, value in headers if (name := self._names[raw]) and name not in _CALLERS]
        found = dict(fields)
        sent = Sent(receiver, fields, found, split)
        taken = at_once(take_apart(plain_body(body, found, self._settings), sent, self._settings))
        self._check_count(len(taken.bodies))
        return taken_batch(taken, self._proxies.origin(peer, found))

    def described(self, events: Sequence[tuple[bytes, Headers, str]]) -> EventBatch:
        """Events given by body, headers and address. Raises PayloadTooLarge."""
        self._check_count(len(events))
        return joined([sample_batch([body], headers, ip) for body, headers, ip in events])

    async def recent(
        self, receiver: Receiver, count: int, topics: Sequence[SourceTopic]
    ) -> tuple[EventBatch, list[RecentRecord]]:
        """The newest events of the topics that the receiver reads, oldest first, and where each is in Kafka.

        Topics that are gone, refused or do not answer are left out. Raises KafkaUnavailable when all are, and
        Overloaded when Kafka is read for too many others.
        """
        ids = {topic.topic: topic.topic_id for topic in topics}
        found: list[RecentRecord] = []

        def read_topic(topic: str, seconds: float) -> None:
            nonlocal found
            starts = {s.partition: s.offset for s in receiver.starts if s.topic_id == ids[topic]}
            newest = read_recent(self._settings, topic, starts, count, max_bytes=MAX_RECENT_BYTES, seconds=seconds)
            found = newest_of(found, newest, count, MAX_RECENT_BYTES)

        def read() -> list[RecentRecord]:
            read_each(list(ids), self._settings.acknowledge_seconds, read_topic, KafkaUnavailable)
            return found

        records = await self._reads.run(read)
        return joined([to_batch([r], ids[r.topic], r.partition, ids=True) for r in records]), records

    def _check_count(self, count: int) -> None:
        most = self._settings.max_validation_events
        if count > most:
            raise PayloadTooLarge(f"Too many events to test, the maximum is {most} in one request.")


def joined(batches: Sequence[EventBatch]) -> EventBatch:
    """All their events, with their indexes as offsets."""
    return EventBatch(
        list(range(sum(map(len, batches)))),
        [time_ms for batch in batches for time_ms in batch.times_ms],
        [event_id for batch in batches for event_id in batch.ids],
        [ip for batch in batches for ip in batch.ips],
        [body for batch in batches for body in batch.bodies],
        [headers for batch in batches for headers in batch.headers],
    )


def body_bytes(body: Any) -> bytes:
    """A body given in JSON: a text is the body itself, any other value its JSON.

    >>> body_bytes('{"a":1}'), body_bytes({"a": [1, "é"]}), body_bytes(None)
    (b'{"a":1}', b'{"a":[1,"\\xc3\\xa9"]}', b'null')
    """
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def given_headers(headers: Mapping[str, str], content_type: str | None = None) -> Headers:
    """Headers by name as an event has them; reserved names and Host are left out.

    >>> given_headers({"x-a": "1", "streams.id": "2"}, "text/plain")
    [('X-A', b'1'), ('Content-Type', b'text/plain')]
    """
    named = {canonical_name(name): value for name, value in headers.items()}
    if content_type is not None:
        named["Content-Type"] = content_type
    return [
        (name, value.encode("utf-8", "replace"))
        for name, value in named.items()
        if name != "Host" and not name.lower().startswith(RESERVED_PREFIX)
    ]
