"""What all ingest requests of a gateway share: limits, bytes in flight, the publisher, deadlines.

Bytes are counted from the moment they are expected until Kafka has said what became of them, so the bound holds
whatever the senders and Kafka do.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from typing import TYPE_CHECKING

from app.api.headers import EventNames, TrustedProxies
from app.gateway.answers import Answers, Refusal, headers_too_large, too_large
from app.gateway.directory import Directory
from app.gateway.freshness import Freshness, Lookups
from app.gateway.metrics import Counters, Levels
from app.gateway.publisher import Publisher, publisher_config
from app.kafka.view import ControlView
from app.limits import connections_within
from app.model.cipher import Cipher
from app.model.conditions import MIB
from app.observe.pulse import LOOK_SECONDS, Looks
from app.settings import Settings

if TYPE_CHECKING:
    from app.gateway.ingest import Ingest
    from app.gateway.protocol import IngestProtocol

SWEEP_SECONDS = 0.2
_TELL_SECONDS = 60
_log = logging.getLogger(__name__)
KEEP_ALIVE_SECONDS = 75.0
"""How long a connection may be idle: longer than the 60 s of usual load balancers, so that they close first."""
_THAW_SECONDS = 2.0
"""How long nobody is held to a deadline after the process was frozen."""
LINGER_SECONDS = 2.0
"""How long what a sender still sends is read and dropped after an answer that ends its connection."""


class Lane:
    """Made on the running event loop, before the view starts."""

    def __init__(self, settings: Settings, view: ControlView, cipher: Cipher) -> None:
        self.settings = settings
        self.directory = Directory(cipher)
        view.listen(self.directory.take)
        self.freshness = Freshness(settings, view)
        self.lookups = Lookups(settings, view)
        self.proxies = TrustedProxies(settings.trusted_proxies)
        self.answers = Answers(settings.retry_after_seconds)
        self.counters = Counters()
        self.names = EventNames()
        self.publisher = Publisher(publisher_config(settings), self.settle)
        self.connections: set[IngestProtocol] = set()
        self.max_connections = connections_within(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._told_connections_at = float("-inf")
        self._looks = Looks(LOOK_SECONDS)
        self._lenient, self._lenient_until = False, float("-inf")
        self.settled: list[Ingest] = []
        """Requests all of whose events have been reported in this round."""
        self.fresh_until = float("-inf")
        """Monotonic time from which the view is too old to accept by."""
        self.inflight_bytes = 0
        self.max_inflight_bytes = settings.max_inflight_bytes
        self.quota_bytes = settings.receiver_quota_mib * MIB
        """Of each receiver; 0: there is none."""
        self.max_body_bytes = settings.max_body_bytes
        self.max_header_bytes = settings.max_header_bytes
        self.max_header_count = settings.max_header_count
        self.too_large: Refusal = too_large(settings)
        self.headers_too_large: Refusal = headers_too_large(settings)

    @property
    def levels(self) -> Levels:
        return Levels(self.inflight_bytes, len(self.connections), self.freshness.age_seconds)

    def tell_too_many(self) -> None:
        """Say in the log, once a minute, that senders are turned away, and what to do."""
        now = time.monotonic()
        if now - self._told_connections_at >= _TELL_SECONDS:
            self._told_connections_at = now
            _log.error(
                "%d connections are open and the limit of open files allows no more: new ones are answered 503. "
                "Raise the limit (`ulimit -n`, LimitNOFILE=) or start another gateway.",
                len(self.connections),
            )

    def look_at_view(self) -> None:
        """Note how long the view may be trusted; more often than that is short."""
        self.fresh_until = self.freshness.until

    @property
    def stale(self) -> bool:
        self.look_at_view()
        return time.monotonic() > self.fresh_until

    def reserve(self, size_bytes: int) -> bool:
        """Take so many bytes of the bound; False (and nothing taken) when there is no room."""
        total = self.inflight_bytes + size_bytes
        if total > self.max_inflight_bytes:
            return False
        self.inflight_bytes = total
        return True

    @property
    def roomy(self) -> bool:
        """Whether senders that were told to come again may."""
        return 2 * self.inflight_bytes <= self.max_inflight_bytes

    def release(self, size_bytes: int) -> None:
        self.inflight_bytes -= size_bytes
        assert self.inflight_bytes >= 0

    def settle(self) -> None:
        """Answer the requests that have been reported: one look at the clock for all."""
        if self.settled:
            settled, self.settled = self.settled, []
            now = time.monotonic()
            for request in settled:
                request.settle(now)

    async def sweep(self) -> None:
        """Hold every connection to its deadlines; in a task of its own."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.publisher.poll()
            self.look_at_view()
            self.hold_to_deadlines(time.monotonic())

    def hold_to_deadlines(self, now: float) -> None:
        """End what takes too long. After this process was frozen the answers that came meanwhile have a moment first:
        Kafka's to events, and what senders sent. One moment: a loop that is merely slow must not put it off for ever.
        """
        self._looks.elapsed(now)
        if self._looks.was_frozen and not self._lenient:
            self._lenient_until = now + _THAW_SECONDS
        self._lenient = now < self._lenient_until
        if not self._lenient:
            for connection in tuple(self.connections):
                connection.sweep(now)
