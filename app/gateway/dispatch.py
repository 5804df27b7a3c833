"""The events of one request that is not plainly one event: read, taken apart, sent in turns with other requests.

All or nothing: 200 only when Kafka has every event (delivery protocol, rule 25). With `Prefer: return=representation`
each event has its own end, which the answer tells. `app.gateway.ingest` has the request itself, its bounds and its
answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Message

from app.api.bodies import Sent, Taken, readings, take_apart
from app.api.split import Steps
from app.gateway.answers import BUSY, NOT_ACKNOWLEDGED, QUEUE_FULL, Refusal, Told, headers_times_events
from app.gateway.query import NO_WISHES, read_wishes, wants_each
from app.gateway.receipt import Receipt
from app.model.errors import StreamsError
from app.model.event import ID_HEADER, IP_HEADER, Headers
from app.model.ids import new_event_id

if TYPE_CHECKING:
    from app.gateway.directory import Endpoint
    from app.gateway.ingest import Ingest

EVENT_OVERHEAD_BYTES = 200
"""What an event costs beside its body and headers: librdkafka's message, id and address."""
RECEIPT_BYTES = 500
"""What it costs more where the answer tells of it: its id and place, kept and written."""
EVENTS_PER_TURN = 500
"""Events of one request that are produced before other connections have their turn."""


class Dispatch:
    """One request on its way to Kafka. `receipt` is there when the answer tells of each event."""

    __slots__ = ("_each", "_endpoint", "_request", "_steps", "_unsent", "receipt")

    def __init__(self, request: Ingest, endpoint: Endpoint) -> None:
        self._request, self._endpoint = request, endpoint
        self._steps: Iterator[None] = iter(())
        self._unsent = 0
        self._each = False
        self.receipt: Receipt | None = None

    def begin(self, body: bytes) -> None:
        """Send the events of this body, the first of them at once."""
        self._steps = self._work(body)
        self._go_on()

    @property
    def tells_each(self) -> bool:
        """Whether each event has its own end, and the answer tells it."""
        return self._each and self.receipt is not None

    def told(self) -> Told:
        """What the answer to a request of which at least one event was taken tells."""
        assert self.receipt is not None
        return self.receipt.of_each() if self._each else self.receipt.of_all()

    def _go_on(self) -> None:
        """Do what can be done in one turn."""
        request = self._request
        if request.response_complete:  # the sender has gone, or the deadline has passed
            self._steps = iter(())
            request.give_up(self._unsent)
            return
        try:
            next(self._steps)
        except StopIteration:
            return
        except StreamsError as error:
            request.refuse(Refusal(error.status, error.name, error.message))
        else:
            request.protocol.loop.call_soon(self._go_on)

    def _work(self, body: bytes) -> Steps[None]:
        request, lane = self._request, self._request.lane
        query = request.url.partition(b"?")[2]
        wishes = read_wishes(query) if query else NO_WISHES
        self._each = "Prefer" in request.found and wants_each(request.found["Prefer"])
        split = self._endpoint.split if wishes.split is None else wishes.split
        for read in readings(request.found, lane.settings):
            whole = yield from self._gather(read(body))
            if whole is None:
                request.refuse(BUSY)
                return
            body = whole
        sent = Sent(self._endpoint.entity, request.fields, request.found, split)
        taken = yield from take_apart(body, sent, lane.settings, each=self._each)
        del body
        if self._each or wishes.receipt:
            self.receipt = Receipt(len(taken.bodies), taken.faults)
        yield from self._send(taken)

    def _gather(self, parts: Iterator[bytes]) -> Steps[bytes | None]:
        """None when the gateway holds too many bytes already."""
        request, lane = self._request, self._request.lane
        whole = bytearray()
        for part in parts:
            if whole:
                yield
            if not lane.reserve(len(part)):
                return None
            request.reserved += len(part)
            whole += part
        request.size = len(whole)
        return bytes(whole)

    def _send(self, taken: Taken) -> Steps[None]:
        request, lane = self._request, self._request.lane
        count = len(taken.bodies) - len(taken.faults)
        if not count:
            request.conclude(request.started)
            return
        if not self._reserve(taken):
            return
        request.events = request.pending = unsent = count
        topic, sender = self._endpoint.topic, request.sender()
        ids, faults, receipt = taken.ids or repeat(""), taken.faults, self.receipt
        bodies = taken.bodies
        report, send, fields = request.report, lane.publisher.send, taken.shared
        own = taken.own
        for index, given in zip(range(len(bodies)), ids, strict=False):
            if faults and index in faults:
                continue
            if own is not None:
                fields = own[index]
            event_id = given or new_event_id()
            if receipt is not None:
                report = partial(self._report, index)
                receipt.name(index, event_id)
            body, bodies[index] = bodies[index], b""
            unsent -= 1
            try:
                send(topic, body, [(ID_HEADER, event_id), (IP_HEADER, sender), *fields], report)
            except (BufferError, KafkaException) as error:
                self._unsent = unsent
                if not self._not_sent(index, QUEUE_FULL if isinstance(error, BufferError) else NOT_ACKNOWLEDGED):
                    return
            if not unsent % EVENTS_PER_TURN and unsent:
                self._unsent = unsent
                yield

    def _reserve(self, taken: Taken) -> bool:
        """Count what the events cost beside their bodies; refuse the request when that is too much."""
        request, lane = self._request, self._request.lane
        if len(taken.bodies) == 1:
            return True
        sets = [taken.shared] * len(taken.bodies) if taken.own is None else taken.own
        headers_bytes = _size(taken.shared) * len(sets) if taken.own is None else sum(map(_size, sets))
        told = self.receipt is not None
        extra = len(sets) * (EVENT_OVERHEAD_BYTES + RECEIPT_BYTES * told) + headers_bytes
        if extra + request.reserved > lane.max_inflight_bytes:
            request.refuse(headers_times_events(len(sets), lane.settings, told=told))
        elif not lane.reserve(extra):
            request.refuse(BUSY)
        else:
            request.reserved += extra
            return True
        return False

    def _not_sent(self, index: int, refusal: Refusal) -> bool:
        """The producer did not take an event. Whether the others are sent all the same."""
        request = self._request
        request.pending -= 1
        if self.tells_each:
            assert self.receipt is not None
            self.receipt.refuse(index, refusal)
            if not request.pending:
                request.lane.settled.append(request)
            return True
        request.refuse(refusal)
        request.give_up(self._unsent)
        return False

    def _report(self, index: int, error: KafkaError | None, message: Message) -> None:
        """Called within a poll of the publisher, once an event."""
        receipt = self.receipt
        assert receipt is not None
        if error is None:
            receipt.place(index, message.partition(), message.offset())
        elif self._each:
            receipt.refuse(index, NOT_ACKNOWLEDGED)
            error = None
        self._request.report(error, message)


def _size(headers: Headers) -> int:
    return sum(len(name) + len(value) for name, value in headers)
