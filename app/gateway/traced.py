"""A lane whose requests are traced. It takes the place of the plain one only where traces are asked for, so that the
plain one pays nothing for them.
"""

from __future__ import annotations

import time

from app.gateway.lane import Lane
from app.observe.tracing import TRACEPARENT, Attributes, note


class TracedLane(Lane):
    """Notes a span for each request of which Kafka has reported on all events: from the whole request to the report."""

    def settle(self) -> None:
        settled, now = self.settled, time.monotonic()
        super().settle()
        for request in settled:
            attributes: Attributes = {
                "messaging.destination.name": request.endpoint.topic if request.endpoint else "",
                "messaging.batch.message_count": request.events,
                "http.request.body.size": request.size,
                "streams.acknowledged": int(not request.failed),
            }
            note("gateway.ingest", now - request.started, request.found.get(TRACEPARENT), attributes)
