"""One ingest request, from its headers to its answer.

It stands where uvicorn's protocol keeps a RequestResponseCycle, and makes no task, future or dictionary of its own.
Acknowledged (200) means that Kafka has every event of the request; any other answer promises nothing about what is
stored (delivery protocol, rule 25).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Message

from app.api.media import is_plain
from app.gateway.answers import (
    BUSY,
    CONTINUE,
    NOT_ACKNOWLEDGED,
    QUEUE_FULL,
    STALE,
    Refusal,
    Told,
    insufficient_storage,
    not_signed,
)
from app.gateway.directory import AUTHORIZATION, Endpoint
from app.gateway.dispatch import Dispatch
from app.gateway.publisher import RecordHeaders
from app.gateway.receipt import challenge_told
from app.model.event import ID_HEADER, IP_HEADER
from app.model.ids import new_event_id

if TYPE_CHECKING:
    from app.gateway.protocol import IngestProtocol

_BEFORE_ARRAY = frozenset({b"[", b" ", b"\t", b"\r", b"\n", b"\xef"})  # the last begins a byte order mark


class _NoEvent:
    """For uvicorn, which wakes a waiting application through it; nothing waits here."""

    def set(self) -> None:
        """Nobody to wake."""


class Ingest:
    """`turn`: no earlier request of the connection waits for its answer; `complete`: all of it has been read.

    `size` are the bytes of the body that were read, `head` those of its headers where they are many, `reserved` those
    of the lane's bound that it holds; `events` were given to Kafka, which has not reported on `pending` of them.
    """

    # Slots, all set at once: what is read from a class or a dictionary costs several times more, and this is the hot
    # path. `message_event` is uvicorn's; it is the only one that all requests share.
    __slots__ = (
        "body",
        "complete",
        "disconnected",
        "dispatch",
        "endings",
        "endpoint",
        "events",
        "failed",
        "fields",
        "found",
        "head",
        "keep_alive",
        "lane",
        "pending",
        "protocol",
        "refusal",
        "reserved",
        "response_complete",
        "size",
        "started",
        "turn",
        "url",
    )
    message_event = _NoEvent()

    def __init__(
        self,
        protocol: IngestProtocol,
        url: bytes,
        fields: list[tuple[str, bytes]],
        found: dict[str, bytes],
        keep_alive: bool,
        turn: bool,
    ) -> None:
        """`fields` are the event headers in order, `found` the last of each by name."""
        self.protocol = protocol
        self.lane = protocol.lane
        self.url = url
        self.fields = fields
        self.found = found
        self.keep_alive = keep_alive
        self.turn = turn
        self.complete = self.response_complete = self.disconnected = self.failed = False
        self.refusal: Refusal | None = None
        self.endpoint: Endpoint | None = None
        self.dispatch: Dispatch | None = None
        self.endings = self.lane.directory.endings
        self.body: bytes | bytearray = b""
        self.size = self.head = self.reserved = self.events = self.pending = 0
        self.started = 0.0

    def admit(self, now: float, head: int = 0) -> None:
        """The headers have been read: decide what can be decided without the body. `head`: bytes of theirs that
        count.
        """
        lane = self.lane
        found = self.found
        length = int(found.get("Content-Length", 0))
        self.head = head
        total = lane.inflight_bytes + length + head
        if length > lane.max_body_bytes:
            self.refuse_at_once(lane.too_large)
            return
        if now > lane.fresh_until:
            self.refusal = STALE
        elif total > lane.max_inflight_bytes:
            self.refusal = BUSY
        else:
            lane.inflight_bytes = total
            self.reserved = length + head
            endpoint = self.endpoint = self._find()
            if lane.quota_bytes and endpoint is not None and endpoint.usage.bytes >= lane.quota_bytes:
                self._release()
                self.refusal = insufficient_storage(endpoint.receiver_id, endpoint.usage.bytes, lane.quota_bytes)
        if "Expect" in found and self._expects_invitation():
            if self.refusal is not None:
                self.refuse_at_once(self.refusal)
            elif self.turn:
                self.protocol.transport.write(CONTINUE)

    def take(self, data: bytes) -> None:
        """A part of the body has been read. A refused request's body is read to its end, and dropped."""
        size = self.size = self.size + len(data)
        if size + self.head > self.reserved:
            if size > self.lane.max_body_bytes:
                self.refuse_at_once(self.lane.too_large)
                return
            if self.refusal is None and not self.lane.reserve(size + self.head - self.reserved):
                self._release()
                self.refusal = BUSY
            if self.refusal is None:
                self.reserved = size + self.head
        if self.refusal is not None:
            return
        if not self.body:
            self.body = data
        else:
            if type(self.body) is bytes:
                self.body = bytearray(self.body)
            self.body += data

    def finish_reading(self, now: float) -> None:
        """The whole request has been read; it is dealt with when it is its turn."""
        self.complete = True
        self.started = now
        if not self.turn:
            return
        if self.refusal is None and self.endpoint is not None:
            self._publish(self.endpoint)
        else:
            self._act()

    def begin_turn(self, now: float) -> None:
        """All requests of the connection before this one are answered."""
        self.turn = True
        self.started = now
        if self.complete:
            self._act()
        elif self._expects_invitation():
            self.protocol.transport.write(CONTINUE)

    def settle(self, now: float) -> None:
        """Kafka has reported on every event.

        The body may have been long in coming, and Kafka in answering. Only while the receiver is still there is it
        certain that the events lie before the end to which a deleted one is drained (delivery protocol, rule 20).
        """
        lane = self.lane
        lane.inflight_bytes -= self.reserved
        self.reserved = 0
        if not self.response_complete:
            self._finish(now)

    def check_deadline(self, now: float) -> None:
        """Called by the sweep while the request waits for Kafka."""
        if now - self.started > self.lane.settings.acknowledge_seconds:
            self.failed = self.failed or self.dispatch is None or not self.dispatch.tells_each
            self._finish(now)

    def refuse(self, refusal: Refusal, *, close: bool = False) -> None:
        """Answer with the error envelope. Bytes that Kafka may still report on stay counted."""
        self.keep_alive = self.keep_alive and not close
        if not self.pending:
            self._release()
        self.lane.counters.refused[refusal.status] += 1
        if refusal.unproven:
            self.lane.counters.unproven[refusal.unproven] += 1
        self.response_complete = True
        self.body = b""
        self.dispatch = None
        data = self.lane.answers.refused(refusal, self.protocol.server_state, self.keep_alive)
        self.protocol.answer(data, self.keep_alive, time.monotonic())
        if refusal is BUSY:
            self.protocol.hold_back()

    def refuse_at_once(self, refusal: Refusal) -> None:
        """Refuse without reading the rest of the body; the connection cannot go on after that."""
        self._release()
        self.refusal = refusal
        self.keep_alive = False
        self.complete = True
        self.protocol.stop_listening()
        if self.turn:
            self.refuse(refusal)

    def abandon(self) -> None:
        """The connection is lost. What Kafka has been given is reported on; the rest is forgotten."""
        self.disconnected = True
        if not self.response_complete:
            self.response_complete = True
            self.dispatch = None
            self.lane.counters.abandoned += 1
        if not self.pending:
            self._release()

    def _act(self) -> None:
        endpoint = self.endpoint
        if self.refusal is not None:
            self.refuse(self.refusal)
        elif endpoint is None:
            self.lane.lookups.ask(self._look_again)
        else:
            self._publish(endpoint)

    def _look_again(self, met: bool) -> None:
        """After a read barrier: perhaps the receiver, or its secret, is newer than the view was."""
        if self.response_complete:
            return
        endpoint = self._find()
        if not met:
            self.refuse(STALE)
        elif endpoint is None:
            self.refuse(self._missing())
        else:
            self.endpoint = endpoint
            self._publish(endpoint)

    def _find(self) -> Endpoint | None:
        """The endpoint by the secret in the URL or in the header."""
        endpoint = self.lane.directory.find(self.url)
        return endpoint if endpoint is not None or AUTHORIZATION not in self.found else self._find_by_token()

    def _find_by_token(self) -> Endpoint | None:
        """By the secret in the header, which then is none of the event's: what has a secret must not be stored."""
        endpoint = self.lane.directory.find_by_token(self.url, self.found[AUTHORIZATION])
        if endpoint is not None:
            self.fields = [(name, value) for name, value in self.fields if name != AUTHORIZATION]
        return endpoint

    def _is_there(self) -> bool:
        """Whether the receiver is. What it demands of senders by now is nothing to events that Kafka has."""
        return self.endpoint is not None and self.lane.directory.has(self.endpoint)

    def _missing(self) -> Refusal:
        return self.lane.directory.missing(self.url, self.found.get(AUTHORIZATION))

    def _publish(self, endpoint: Endpoint) -> None:
        directory = self.lane.directory
        if self.endings != directory.endings:  # a receiver may demand something else than when the headers came
            self.endings = directory.endings
            now = self.endpoint = self._find()
            if now is None:
                self.refuse(self._missing())
                return
            endpoint = now
        body = self.body
        if type(body) is not bytes:
            body = bytes(body)
        self.body = b""
        if endpoint.verifier is not None:
            fault = endpoint.verifier.check(self.found, body, time.time())
            if fault is not None:
                self.refuse(not_signed(fault))
                return
            challenge = endpoint.verifier.challenge(body)
            if challenge is not None:
                self._accept(self.started, challenge_told(challenge))
                return
        found = self.found
        if (
            (endpoint.split and body[:1] in _BEFORE_ARRAY)
            or not is_plain(found.get("Content-Type"))
            or b"?" in self.url
            or "Idempotency-Key" in found
            or "Content-Encoding" in found
            or "Prefer" in found
            or "Ce-Specversion" in found
        ):
            self.dispatch = Dispatch(self, endpoint)
            self.dispatch.begin(body)
            return
        self.events = self.pending = 1
        headers: RecordHeaders = [(ID_HEADER, new_event_id()), (IP_HEADER, self.sender()), *self.fields]
        try:
            self.lane.publisher.send(endpoint.topic, body, headers, self.report)
        except BufferError:
            self.pending = 0
            self.refuse(QUEUE_FULL)
        except KafkaException:
            self.pending = 0
            self.refuse(NOT_ACKNOWLEDGED)

    def give_up(self, unsent: int) -> None:
        """So many events are not sent, because the request is answered already; the others are still reported on."""
        self.pending -= unsent
        if not self.pending:
            self._release()

    def sender(self) -> bytes:
        """The address of who sent the request."""
        protocol = self.protocol
        return protocol.forwarded_for(self.found) if protocol.trusted else protocol.peer

    def report(self, error: KafkaError | None, _message: Message) -> None:
        """Called within a poll of the publisher, once an event."""
        if error is not None:
            self.failed = True
        self.pending -= 1
        if not self.pending:
            self.lane.settled.append(self)

    def conclude(self, now: float) -> None:
        """Answer by what became of the events: all of them, or each, as far as Kafka has reported."""
        receipt = None if self.dispatch is None else self.dispatch.receipt
        if receipt is not None and receipt.refusal is not None:
            self.refuse(receipt.refusal)
            return
        if receipt is not None:
            self.events = receipt.accepted
        self._accept(now)

    def _finish(self, now: float) -> None:
        lane = self.lane
        if self.failed:
            self.refuse(NOT_ACKNOWLEDGED)
        elif now > lane.fresh_until:
            self.refuse(STALE)
        elif self.endings != lane.directory.endings and not self._is_there():
            self.refuse(self._missing())
        elif self.dispatch is None:
            self._accept(now)
        else:
            self.conclude(now)

    def _accept(self, now: float, told: Told | None = None) -> None:
        counters = self.lane.counters
        counters.accepted += 1
        counters.events += self.events
        counters.body_bytes += self.size
        counters.acknowledged(now - self.started)
        if self.lane.quota_bytes and self.endpoint is not None:
            self.endpoint.usage.add(self.events, self.size)
        if self.reserved and not self.pending:
            self._release()
        self.response_complete = True
        protocol, dispatch = self.protocol, self.dispatch
        if dispatch is not None:
            told = None if dispatch.receipt is None else dispatch.told()
            self.dispatch = None
        if told is None:
            data = self.lane.answers.accepted(protocol.server_state, self.keep_alive)
        else:
            data = self.lane.answers.told(told, protocol.server_state, self.keep_alive)
        protocol.answer(data, self.keep_alive, now)

    def _expects_invitation(self) -> bool:
        """Whether the sender waits for "100 Continue" before it sends the body."""
        return "Expect" in self.found and self.found["Expect"].lower() == b"100-continue"

    def _release(self) -> None:
        if self.reserved:
            self.lane.release(self.reserved)
            self.reserved = 0
