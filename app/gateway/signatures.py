"""Whether a request is signed as its receiver demands: pure, on the very bytes of the body as they were received.

Comparisons take the same time whatever they compare (`hmac.compare_digest`), and what is said of a refused request
tells its sender what to look at, never what would have been right.
"""

from __future__ import annotations

import binascii
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.gateway.challenge import challenge_in
from app.model.conditions import format_time
from app.model.signature import BODY, FORMS, TIMESTAMP, TOLERANCE_SECONDS, Encoding, HmacForm, Scheme, Signature

Headers = Mapping[str, bytes]
"""By canonical name, the last value of each."""
_MAX_TIME_DIGITS = 12
_STRIPE_HEADER = "Stripe-Signature"
_STANDARD_HEADERS = ("Webhook-Id", "Webhook-Timestamp", "Webhook-Signature")
_SVIX_HEADERS = ("Svix-Id", "Svix-Timestamp", "Svix-Signature")


class Reason(StrEnum):
    """Why a request is not accepted; also a label of the metric."""

    MISSING = "missing"
    """A header is not there."""
    MALFORMED = "malformed"
    """A header is not of the form that the scheme has."""
    EXPIRED = "expired"
    """The signed time is too far from ours."""
    MISMATCH = "mismatch"


@dataclass(frozen=True, slots=True)
class Fault:
    reason: Reason
    message: str


class _Faulty(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(reason, message)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the headers say: what is signed before the body, the signatures (digests), any of which may be right, in
    which header they are, and the signed time (Unix, seconds) with its header.
    """

    before: bytes
    signatures: Sequence[bytes]
    header: str
    time: int | None = None
    time_header: str = ""


class Verifier:
    """Checks the requests of one receiver. `keys` are those of the signature's secrets, in their order."""

    def __init__(self, signature: Signature, keys: Sequence[bytes]) -> None:
        assert keys, "without a key nothing could be right"
        self._keys = tuple(keys)
        self._challenges = signature.scheme is Scheme.SLACK
        self._tolerance_seconds = signature.tolerance_seconds or TOLERANCE_SECONDS
        form = signature.form or FORMS.get(signature.scheme)
        self._algorithm = "sha256" if form is None else form.algorithm.value
        self._read = _reader(signature.scheme, form)

    def check(self, headers: Headers, body: bytes, now: float) -> Fault | None:
        """None when the request is signed as it should be. `now` is Unix time, in seconds."""
        try:
            claim = self._read(headers)
        except _Faulty as faulty:
            return faulty.fault
        if claim.time is not None and abs(now - claim.time) > self._tolerance_seconds:
            return Fault(
                Reason.EXPIRED,
                f'The time in the header "{claim.time_header}" is more than {format_time(self._tolerance_seconds)} '
                "from now, so the request may be an old one that is sent again; if it is new, a clock is wrong.",
            )
        signed = claim.before + body if claim.before else body
        for key in self._keys:
            digest = hmac.digest(key, signed, self._algorithm)
            for signature in claim.signatures:
                if hmac.compare_digest(digest, signature):
                    return None
        return Fault(
            Reason.MISMATCH,
            f'The signature in the header "{claim.header}" does not match: the secret is another one, or the body is '
            "not byte for byte what was signed.",
        )

    def challenge(self, body: bytes) -> str | None:
        """What a request that is signed as it should be asks to be answered, where it is no event but the vendor's test
        of the URL.
        """
        return challenge_in(body) if self._challenges else None


def _reader(scheme: Scheme, form: HmacForm | None) -> Callable[[Headers], Claim]:
    if scheme is Scheme.STRIPE:
        return _read_stripe
    if scheme is Scheme.STANDARD:
        return _read_standard
    assert form is not None
    return _form_reader(form)


def _form_reader(form: HmacForm) -> Callable[[Headers], Claim]:
    """Of one signature in a header of its own."""
    before, _, after = form.content.removesuffix(BODY).partition(TIMESTAMP)
    prefix = form.prefix.encode()
    shown = f"{form.prefix}<{form.encoding}>"

    def read(headers: Headers) -> Claim:
        value = _find(headers, form.header)
        if not value.startswith(prefix):
            raise _malformed(form.header, shown)
        digest = _decode(value[len(prefix) :], form.encoding)
        if digest is None:
            raise _malformed(form.header, shown)
        if form.timestamp_header is None:
            return Claim(before.encode(), (digest,), form.header)
        sent = _find(headers, form.timestamp_header)
        signed = before.encode() + sent + after.encode()
        return Claim(signed, (digest,), form.header, _time(sent, form.timestamp_header), form.timestamp_header)

    return read


def _read_stripe(headers: Headers) -> Claim:
    """`t=<time>,v1=<hex>,…`: several `v1` while a secret is rotated; other schemes (`v0`) count for nothing, since who
    could choose the weakest would. Signed is `<time>.<body>`.
    """
    pairs = [part.strip().partition(b"=") for part in _find(headers, _STRIPE_HEADER).split(b",")]
    times = [value for name, _, value in pairs if name == b"t"]
    found = [digest for name, _, value in pairs if name == b"v1" and (digest := _decode(value, Encoding.HEX))]
    if len(times) != 1 or not found:
        raise _malformed(_STRIPE_HEADER, "t=<seconds>,v1=<hex>")
    return Claim(times[0] + b".", found, _STRIPE_HEADER, _time(times[0], _STRIPE_HEADER), _STRIPE_HEADER)


def _read_standard(headers: Headers) -> Claim:
    """Three headers, named `Webhook-…` or, by Svix, `Svix-…`. Signed is `<id>.<time>.<body>`; signatures are
    `v1,<base64>`, separated by spaces.

    An id with a full stop is refused: parts of a signed body could be passed off as its time and body.
    """
    names = _STANDARD_HEADERS if _STANDARD_HEADERS[2] in headers or _SVIX_HEADERS[2] not in headers else _SVIX_HEADERS
    id_header, time_header, header = names
    value, sent, identity = (_find(headers, name) for name in (header, time_header, id_header))
    found = list(_standard_signatures(value))
    if not found:
        raise _malformed(header, "v1,<base64>")
    if not identity or b"." in identity:
        raise _malformed(id_header, "<id without a full stop>")
    return Claim(b"%b.%b." % (identity, sent), found, header, _time(sent, time_header), time_header)


def _standard_signatures(value: bytes) -> Iterator[bytes]:
    for part in value.split():
        version, _, text = part.partition(b",")
        digest = _decode(text, Encoding.BASE64) if version == b"v1" else None
        if digest is not None:
            yield digest


def _find(headers: Headers, name: str) -> bytes:
    value = headers.get(name)
    if value is None:
        raise _Faulty(Reason.MISSING, f'The header "{name}" is missing; this receiver takes signed requests only.')
    return value


def _malformed(name: str, form: str) -> _Faulty:
    return _Faulty(Reason.MALFORMED, f'The header "{name}" must have the form "{form}".')


def _time(sent: bytes, header: str) -> int:
    """Digits alone, as they are signed: `int` would take signs, spaces and underscores too."""
    if not sent.isdigit() or len(sent) > _MAX_TIME_DIGITS:
        raise _Faulty(Reason.MALFORMED, f'The time in the header "{header}" must be Unix time in seconds.')
    return int(sent)


def _decode(text: bytes, encoding: Encoding) -> bytes | None:
    """None for what is not encoded so, or is empty."""
    try:
        if encoding is Encoding.HEX:
            return binascii.unhexlify(text) or None
        return binascii.a2b_base64(text, strict_mode=True) or None
    except (binascii.Error, ValueError):
        return None
