"""uvicorn's HTTP protocol with a lane for ingest; every other route is ASGI as ever.

The parser, the ASGI cycles and the server's shutdown are uvicorn's (pinned; `tests/unit/gateway/test_uvicorn.py`
notices when what is used here moves). Ours are the order of answers when requests are pipelined, limits on headers, the
time a sender may take, idle connections, and a proper end of a connection whose request was refused half-way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.headers import plain_address
from app.gateway.answers import INVALID_HTTP, TIMED_OUT, TOO_MANY_CONNECTIONS, Refusal
from app.gateway.directory import IMPORT
from app.gateway.ingest import Ingest
from app.gateway.lane import KEEP_ALIVE_SECONDS, LINGER_SECONDS, Lane
from app.gateway.query import wants_validation

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application

_MAX_WIRE_FACTOR = 8
"""A body in chunks may be this much longer on the wire than its limit: a chunk of one byte takes six."""
_SMALL_HEAD_BYTES = 2048
"""A head up to this size is not counted among the bytes that a gateway holds: connections are few enough for that."""
_HOP_HEADERS = frozenset({b"upgrade", b"connection", b"http2-settings"})
Cycle = Ingest | RequestResponseCycle


def protocol_for(lane: Lane) -> type[IngestProtocol]:
    """The protocol class of a server whose requests go to this lane."""
    return type("LaneProtocol", (IngestProtocol,), {"shared_lane": lane, "__slots__": ()})


class IngestProtocol(HttpToolsProtocol):
    """One connection. At most one request is answered at a time; those that came with it wait in `pipeline`."""

    # Beside uvicorn's attributes, which fill an instance's dictionary to where Python still makes it quick.
    __slots__ = (
        "_advancing",
        "_answering",
        "_deaf_since",
        "_fed_bytes",
        "_held_since",
        "_idle_since",
        "_in_head",
        "_ingest",
        "_ip",
        "_now",
        "_reading_since",
        "_upgrading",
        "_wire_bytes",
        "lane",
        "peer",
        "trusted",
    )
    shared_lane: ClassVar[Lane]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.lane = self.shared_lane
        self._ip = plain_address(self.client[0]) if self.client else ""
        self.peer = self._ip.encode()
        """The address of the other side."""
        self.trusted = self.lane.proxies.trusts(self._ip)
        """Whether the other side is a proxy that may say for whom it asks."""
        self._answering: Cycle | None = None
        """The request whose answer is the next to be written."""
        self._ingest: Ingest | None = None
        """The latest request that was begun, if it is for the lane."""
        self._in_head = self._upgrading = self._advancing = False
        self._deaf_since = 0.0
        """When we stopped to listen: what still comes is read and dropped."""
        self._reading_since = 0.0
        self._held_since = 0.0
        self._idle_since = self._now = time.monotonic()
        self._fed_bytes = self._wire_bytes = 0
        self.lane.connections.add(self)
        if len(self.lane.connections) > self.lane.max_connections:
            self.lane.tell_too_many()
            self._end_with(TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lane.connections.discard(self)
        for cycle in {self._answering, self.cycle, *(queued for queued, _ in self.pipeline)}:
            if isinstance(cycle, Ingest):
                cycle.abandon()
            elif cycle is not None:
                _disconnect(cycle)
        self.pipeline.clear()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio: true keeps the connection open for the answer
        """The sender has no more to say. One that only closed its half still gets the answer it waits for."""
        last = self._ingest
        if last is not None and last.complete and not last.response_complete:
            last.keep_alive = False
            return True
        return False

    def data_received(self, data: bytes) -> None:
        if self._deaf_since:
            return
        self._now = time.monotonic()
        self._fed_bytes = len(data)
        if self._reading_since:
            self._wire_bytes += len(data)
            if self._too_long():
                return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, httptools.HttpParserError):
                self._end_with(INVALID_HTTP)
            else:
                self.logger.error("a request failed", exc_info=error.__context__)
                self.transport.close()
        except httptools.HttpParserError:
            self._end_with(INVALID_HTTP)

    # Called by the parser

    def on_message_begin(self) -> None:
        if self._deaf_since:
            return
        self.url = b""
        self.headers = []
        self._in_head = True
        self._wire_bytes = 0
        self._reading_since = self._now

    def on_url(self, url: bytes) -> None:
        self.url = self.url + url if self.url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._deaf_since:
            return
        self._in_head = False
        parser, lane, headers = self.parser, self.lane, self.headers
        if parser.should_upgrade():
            self._upgrading = True
            return
        wire_bytes = self._wire_bytes + self._fed_bytes
        large = wire_bytes > lane.max_header_bytes or len(headers) > lane.max_header_count
        if large and self._head_too_large():
            self._end_with(lane.headers_too_large)
            return
        if not self.url.startswith(b"/"):
            self._strip_authority()
        if not self.url.startswith(IMPORT) or parser.get_method() != b"POST":
            self._begin_asgi()
            return
        if b"?" in self.url and wants_validation(self.url):
            self._begin_asgi()
            return
        names = lane.names
        fields = [(name, value) for raw, value in headers if (name := names[raw])]
        found = dict(fields)
        keep_alive = parser.should_keep_alive()
        if keep_alive and "Connection" in found:
            keep_alive = parser.get_http_version() != "1.0"
        before: Cycle | None = self.cycle
        turn = before is None or before.response_complete
        request = self._ingest = Ingest(self, self.url, fields, found, keep_alive, turn)
        self.cycle = request  # type: ignore[assignment]  # stands in for a RequestResponseCycle
        if turn:
            self._answering = request
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((request, self.app))  # type: ignore[arg-type]  # the same
        head_bytes = self._head_bytes() if wire_bytes > _SMALL_HEAD_BYTES else 0
        request.admit(self._now, head_bytes if head_bytes > _SMALL_HEAD_BYTES else 0)

    def on_body(self, body: bytes) -> None:
        if self._deaf_since:
            return
        request = self._ingest
        if request is not None:
            request.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._deaf_since or self._upgrading:
            return
        self._reading_since = 0.0
        request = self._ingest
        if request is not None:
            request.finish_reading(self._now)
        else:
            super().on_message_complete()

    # Called by uvicorn

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """An ASGI answer has been written."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self._idle_since = time.monotonic()
            self._advance()

    # Called by an ingest request

    def forwarded_for(self, headers: dict[str, bytes]) -> bytes:
        """The address of who sent a request with these headers through a trusted proxy."""
        return self.lane.proxies.sender(self._ip, headers).encode()

    def answer(self, data: bytes, keep_alive: bool, now: float) -> None:
        """Write the answer of the request whose turn it is."""
        self.server_state.total_requests += 1
        transport = self.transport
        if transport.is_closing():
            return
        transport.write(data)
        if keep_alive:
            self._idle_since = now
            if self.pipeline or self.flow.read_paused:
                self._advance()
        elif self._reading_since or self._deaf_since:
            self._linger()
        else:
            self.stop_listening()
            self.transport.close()

    def stop_listening(self) -> None:
        """No request after the current one is taken from this connection."""
        if not self._deaf_since:
            self._deaf_since = time.monotonic()

    def hold_back(self) -> None:
        """The sender was told to come again later: do not read on until there is room."""
        if not self.transport.is_closing() and not self._deaf_since:
            self._held_since = time.monotonic()
            self.flow.pause_reading()

    def sweep(self, now: float) -> None:
        """Called by the lane several times a second: hold the connection to its deadlines."""
        settings = self.lane.settings
        answering = self._answering
        busy = answering is not None and not answering.response_complete
        if self._held_since and (self.lane.roomy or now - self._held_since > settings.retry_after_seconds):
            self._held_since = 0.0
            if not self.transport.is_closing():
                self.flow.resume_reading()
        if self._deaf_since and not busy:
            if now - self._deaf_since > LINGER_SECONDS:
                self.transport.abort()
        elif busy and type(answering) is Ingest and answering.complete:
            answering.check_deadline(now)
        elif self._reading_since:
            if now - self._reading_since > settings.read_seconds:
                self._end_with(TIMED_OUT)
        elif not busy and now - self._idle_since > KEEP_ALIVE_SECONDS:
            self.transport.close()

    # Our own

    def _begin_asgi(self) -> None:
        """Let uvicorn begin the request, with what has been read."""
        url, headers = self.url, self.headers
        self._ingest = None
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self.headers = []  # for trailers, which nobody asked for

    def _advance(self) -> None:
        """The answer of `_answering` is complete: go on with the next request."""
        if self._advancing:
            return
        self._advancing = True
        while self.pipeline and not self.transport.is_closing():
            if self._answering is not None and not self._answering.response_complete:
                break
            cycle, app = self.pipeline.pop()
            if isinstance(cycle, Ingest):
                self._answering = cycle
                cycle.begin_turn(time.monotonic())
            else:
                self._start_asgi_task(cycle, app)
        self._advancing = False
        if not self.pipeline and not self._held_since and not self.transport.is_closing():
            self.flow.resume_reading()

    def _strip_authority(self) -> None:
        """A proxy may send the whole URL: "POST http://host/path"."""
        if self.url[:4].lower() != b"http":
            return
        parsed = httptools.parse_url(self.url)
        if parsed.path:
            self.url = parsed.path + (b"?" + parsed.query if parsed.query else b"")

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _head_too_large(self) -> bool:
        return self._head_bytes() > self.lane.max_header_bytes or len(self.headers) > self.lane.max_header_count

    def _too_long(self) -> bool:
        """Whether more has come for one request than there can be; then the connection is ended.

        Bounds what the parser itself gathers: headers and trailers that never end.
        """
        settings = self.lane.settings
        if self._in_head:
            if self._wire_bytes > settings.max_header_bytes:
                self._end_with(self.lane.headers_too_large)
                return True
        elif self._wire_bytes > _MAX_WIRE_FACTOR * settings.max_body_bytes + settings.max_header_bytes:
            self._end_with(self.lane.too_large)
            return True
        return False

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request that offers another protocol (h2c, as Java's client does) as plain HTTP/1.1.

        The parser takes the body for that other protocol's, so it gets the request again without the offer.
        """
        self._upgrading = False
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._end_with(INVALID_HTTP)
            return
        lines = [b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b\r\n" % header for header in self.headers if header[0].lower() not in _HOP_HEADERS]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"".join((*lines, b"\r\n", rest)))

    def _end_with(self, refusal: Refusal) -> None:
        """End the connection because of what is being read, once the answers before it are out."""
        self.stop_listening()
        answering = self._answering
        if self._ingest is not None and not self._ingest.complete:
            self._ingest.refuse_at_once(refusal)
            return
        asgi = isinstance(answering, RequestResponseCycle) and not answering.response_complete
        if asgi and answering is self.cycle and answering.more_body:
            started = answering.response_started
            _disconnect(answering)
            if started:
                self.transport.close()
                return
        if answering is not None and not answering.response_complete:
            answering.keep_alive = False
            return
        self.lane.counters.refused[refusal.status] += 1
        self.transport.write(self.lane.answers.refused(refusal, self.server_state, keep_alive=False))
        self._linger()

    def _linger(self) -> None:
        """Send no more, but read on for a while: a closed socket with unread bytes takes the answer back."""
        self.stop_listening()
        self.flow.resume_reading()
        self.transport.write_eof()


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Tell the application that nobody waits for its answer any more."""
    cycle.disconnected = cycle.response_complete = True
    cycle.message_event.set()
