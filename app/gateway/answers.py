"""Answers of the ingest lane as bytes: 200, mostly without a body, or the API's error envelope.

Every answer has uvicorn's default headers (Date, Server), CORS and an X-Request-Id of 15 characters; one that can be
repeated has Retry-After.
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from http import HTTPStatus

from uvicorn.server import ServerState

from app.api.errors import envelope
from app.gateway.signatures import Fault
from app.model.conditions import KIB, MIB, format_size
from app.settings import Settings

_CORS = b"access-control-allow-origin: *\r\n"
_CORS_REFUSED = _CORS + b"access-control-expose-headers: X-Request-Id, Retry-After\r\n"
_CORS_TOLD = _CORS + b"access-control-expose-headers: X-Request-Id, Retry-After, Preference-Applied\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not accepted. `again`: it may succeed if it is sent again after a while. `unproven`: what the
    sender did not prove (a label of the metric), `challenge`: the WWW-Authenticate header of the answer.
    """

    status: int
    name: str
    message: str
    again: bool = False
    unproven: str = ""
    challenge: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """An answer with a body in JSON. `each`: it tells the end of each event; `again`: of some it says that they may be
    sent again later.
    """

    status: int
    body: bytes
    each: bool = False
    again: bool = False


BUSY = Refusal(
    503, "buffer.overloaded", "Too many bytes wait for Kafka on this gateway; send the request again later.", again=True
)
QUEUE_FULL = Refusal(
    503,
    "buffer.overloaded",
    "Too many events wait for Kafka on this gateway; send the request again later.",
    again=True,
)
TOO_MANY_CONNECTIONS = Refusal(
    503,
    "buffer.overloaded",
    "This gateway has as many connections as it may open; send the request again later.",
    again=True,
)
NOT_ACKNOWLEDGED = Refusal(
    503,
    "buffer.kafkaUnavailable",
    "Kafka did not acknowledge the request in time, so it may or may not be stored; send it again.",
    again=True,
)
STALE = Refusal(
    503,
    "buffer.kafkaUnavailable",
    "This gateway has lost touch with Kafka and does not know which receivers there are; send the request again later.",
    again=True,
)
UNREADABLE_SECRET = Refusal(
    503,
    "buffer.misconfigured",
    "The receiver's secret cannot be decrypted; the operator finds the cause in the gateway's log.",
    again=True,
)
TIMED_OUT = Refusal(408, "buffer.requestTimeout", "The request did not arrive in time.")
INVALID_HTTP = Refusal(400, "buffer.badRequest", "This is not a valid HTTP/1.1 request.")


def too_large(settings: Settings) -> Refusal:
    size = format_size(settings.max_body_bytes)
    return Refusal(413, "buffer.payloadTooLarge", f"Payload too large, the maximum size is {size}.")


def headers_too_large(settings: Settings) -> Refusal:
    return Refusal(
        431,
        "buffer.headersTooLarge",
        f"Headers too large, the maximum is {settings.max_header_count} headers "
        f"of {format_size(settings.max_header_bytes)} together.",
    )


def headers_times_events(events: int, settings: Settings, *, told: bool = False) -> Refusal:
    """`told`: the answer tells of each event."""
    return Refusal(
        413,
        "buffer.payloadTooLarge",
        f"Each of the {events} events carries the request's headers{' and a part of its answer' if told else ''}, "
        f"together more than {format_size(settings.max_inflight_bytes)}; send fewer events in one request, or "
        "fewer headers.",
    )


def receiver_not_found(receiver_id: str) -> Refusal:
    return Refusal(404, "buffer.receiverNotFound", f'Receiver "{receiver_id}" not found in the project.')


def secret_not_found(receiver_id: str) -> Refusal:
    return Refusal(404, "buffer.receiverNotFound", f'Receiver "{receiver_id}" with given secret not found.')


def endpoint_not_found(path: str) -> Refusal:
    return Refusal(404, "buffer.endpointNotFound", f'No endpoint found for path "{path}".')


def not_signed(fault: Fault) -> Refusal:
    return Refusal(401, "buffer.invalidSignature", fault.message, unproven=f"signature_{fault.reason}")


def token_missing(receiver_id: str) -> Refusal:
    text = f'Receiver "{receiver_id}" wants its secret in the header: "Authorization: Bearer <secret>".'
    return Refusal(401, "buffer.invalidToken", text, unproven="token_missing", challenge="Bearer")


def token_wrong(receiver_id: str) -> Refusal:
    text = f'The bearer token is not the secret of the receiver "{receiver_id}".'
    challenge = 'Bearer error="invalid_token"'
    return Refusal(401, "buffer.invalidToken", text, unproven="token_mismatch", challenge=challenge)


def insufficient_storage(receiver_id: str, used_bytes: int, limit_bytes: int) -> Refusal:
    return Refusal(
        507,
        "buffer.insufficientStorage",
        f'No free space in the buffer: receiver "{receiver_id}" has "{human_size(used_bytes)}" buffered for upload, '
        f'limit is "{human_size(limit_bytes)}".',
        again=True,
    )


def human_size(size_bytes: int) -> str:
    """As the Buffer API says it: "200.1 KB", "100.0 MB", "512 B" (base 1024)."""
    for unit, factor in (("GB", KIB * MIB), ("MB", MIB), ("KB", KIB)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} B"


class Answers:
    """Makes answers; the part that all share is kept until uvicorn renews its default headers (once a second)."""

    def __init__(self, retry_after_seconds: int) -> None:
        self._retry_after_seconds = retry_after_seconds
        self._ids = itertools.count(secrets.randbits(56))
        self._defaults: list[tuple[bytes, bytes]] | None = None
        self._accepted = self._accepted_last = b""

    def accepted(self, state: ServerState, keep_alive: bool) -> bytes:
        if state.default_headers is not self._defaults:
            self._defaults = state.default_headers
            start = b"HTTP/1.1 200 OK\r\n" + _lines(self._defaults) + _CORS + b"content-length: 0\r\n"
            self._accepted = start + b"x-request-id: "
            self._accepted_last = start + b"connection: close\r\nx-request-id: "
        return b"%b%015x\r\n\r\n" % (self._accepted if keep_alive else self._accepted_last, next(self._ids))

    def told(self, told: Told, state: ServerState, keep_alive: bool) -> bytes:
        """An answer to accepted events that has a body."""
        return b"".join(
            (
                f"HTTP/1.1 {told.status} {HTTPStatus(told.status).phrase}\r\n".encode(),
                _lines(state.default_headers),
                _CORS_TOLD,
                b"content-type: application/json\r\ncontent-length: %d\r\n" % len(told.body),
                b"preference-applied: return=representation\r\n" if told.each else b"",
                b"retry-after: %d\r\n" % self._retry_after_seconds if told.again else b"",
                b"" if keep_alive else b"connection: close\r\n",
                b"x-request-id: %015x\r\n\r\n" % next(self._ids),
                told.body,
            )
        )

    def refused(self, refusal: Refusal, state: ServerState, keep_alive: bool) -> bytes:
        request_id = f"{next(self._ids):015x}"
        retry_after = self._retry_after_seconds if refusal.again else None
        answer = envelope(request_id, refusal.status, refusal.name, refusal.message, retry_after)
        return b"".join(
            (
                f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n".encode(),
                _lines(state.default_headers),
                _CORS_REFUSED,
                _lines(answer.raw_headers),
                f"www-authenticate: {refusal.challenge}\r\n".encode() if refusal.challenge else b"",
                b"" if keep_alive else b"connection: close\r\n",
                b"x-request-id: ",
                request_id.encode(),
                b"\r\n\r\n",
                bytes(answer.body),
            )
        )


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % header for header in headers)
