"""The part of a receiver's body that says how requests are signed. Its secrets are encrypted here, before anything goes
on to Kafka; no message repeats one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr

from app.api.problems import Payload, Problems
from app.mapping.headers import canonical_name
from app.model.conditions import format_time, parse_time
from app.model.errors import BadRequest, clipped
from app.model.event import RESERVED_PREFIX
from app.model.signature import (
    BODY,
    MAX_SECRET_LENGTH,
    MAX_SECRETS,
    MAX_TOLERANCE_SECONDS,
    MIN_SECRET_LENGTH,
    MIN_TOLERANCE_SECONDS,
    TIMESTAMP,
    TOLERANCE_SECONDS,
    Algorithm,
    Encoding,
    HmacForm,
    Scheme,
    Signature,
    SigningSecret,
    fingerprint,
    signing_key,
    signs_time,
)

HEADER_NAME = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$"
_HEADER_NAME = re.compile(HEADER_NAME)
FORM_FIELDS = ("header", "algorithm", "encoding", "prefix", "timestampHeader", "content")
"""For the scheme `hmac` alone."""
Seal = Callable[[str], bytes]
"""How a secret is encrypted."""


class SignaturePayload(Payload):
    """Everything but the scheme, its secrets and the tolerance is for the scheme `hmac` alone."""

    scheme: Literal["hmac", "github", "stripe", "slack", "shopify", "standard-webhooks"]
    secrets: Annotated[list[StrictStr], Field(min_length=1, max_length=MAX_SECRETS)] | None = None
    tolerance: StrictStr | None = None
    header: StrictStr | None = None
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] | None = None
    encoding: Literal["hex", "base64"] | None = None
    prefix: Annotated[StrictStr, Field(max_length=100)] | None = None
    timestamp_header: StrictStr | None = None
    content: Annotated[StrictStr, Field(max_length=200)] | None = None


def read_signature(problems: Problems, payload: SignaturePayload, receiver_id: str, seal: Seal) -> Signature:
    """The signature that a body describes, its secrets sealed; without secrets where the body has none."""
    scheme = Scheme(payload.scheme)
    form = problems.of(lambda: _read_form(payload), None)
    return Signature(scheme, _read_secrets(problems, payload, receiver_id, seal), _tolerance(problems, payload), form)


def signature_body(signature: Signature) -> dict[str, Any]:
    """All but the secrets, as a body has it; what the scheme does not have is left out."""
    body: dict[str, Any] = {"scheme": signature.scheme.value}
    if signature.tolerance_seconds is not None:
        body["tolerance"] = format_time(signature.tolerance_seconds)
    form = signature.form
    if form is not None:
        body |= {"header": form.header, "algorithm": form.algorithm.value, "encoding": form.encoding.value}
        body |= {"prefix": form.prefix, "content": form.content}
        if form.timestamp_header is not None:
            body["timestampHeader"] = form.timestamp_header
    return body


def _read_secrets(
    problems: Problems, payload: SignaturePayload, receiver_id: str, seal: Seal
) -> tuple[SigningSecret, ...]:
    found = []
    for index, secret in enumerate(payload.secrets or ()):
        place = f"body.signature.secrets[{index}]"
        if not MIN_SECRET_LENGTH <= len(secret) <= MAX_SECRET_LENGTH:
            problems.add(
                f"length of {place} must be {MIN_SECRET_LENGTH} to {MAX_SECRET_LENGTH} but got (len={len(secret)})",
                "buffer.invalidLength",
            )
            continue
        try:
            key = signing_key(Scheme(payload.scheme), secret)
            if len(key) < MIN_SECRET_LENGTH:
                problems.add(f"{place} is the base64 of {len(key)} bytes; it must be of {MIN_SECRET_LENGTH} at least")
                continue
            found.append(SigningSecret(fingerprint(secret, receiver_id), seal(secret)))
        except BadRequest as problem:
            problems.add(f"{place}: {problem.message}")
    if len(found) > 1 and len({secret.fingerprint for secret in found}) == 1:
        problems.add("body.signature.secrets has the same secret twice")
    return tuple(found)


def _tolerance(problems: Problems, payload: SignaturePayload) -> float | None:
    scheme = Scheme(payload.scheme)
    timed = payload.timestamp_header is not None if scheme is Scheme.HMAC else signs_time(scheme, None)
    if not timed:
        if payload.tolerance is not None:
            problems.add("body.signature.tolerance is for schemes that sign a time, and this one does not")
        return None
    if payload.tolerance is None:
        return TOLERANCE_SECONDS
    text = payload.tolerance
    return problems.of(
        lambda: read_duration(text, "body.signature.tolerance", MIN_TOLERANCE_SECONDS, MAX_TOLERANCE_SECONDS), None
    )


def read_duration(text: str, path: str, least: float, most: float) -> float:
    """Seconds of a duration such as "5m". Raises BadRequest, which names the `path`."""
    try:
        seconds = parse_time(text)
    except BadRequest:
        seconds = -1.0
    if not least <= seconds <= most:
        raise BadRequest(
            f"{path} must be a duration from {format_time(least)} to {format_time(most)}, such as "
            f'"{format_time(max(least, 300.0))}", but got value "{clipped(text)}"'
        )
    return seconds


def _read_form(payload: SignaturePayload) -> HmacForm | None:
    if Scheme(payload.scheme) is not Scheme.HMAC:
        given = list(_given(payload))
        if given:
            raise BadRequest(f'body.signature.{given[0]} is for the scheme "{Scheme.HMAC}" alone')
        return None
    if payload.header is None:
        raise BadRequest('"header" is missing from body.signature', "buffer.missingField")
    header = _header_name(payload.header, "header")
    timestamp_header = payload.timestamp_header
    if timestamp_header is not None:
        timestamp_header = _header_name(timestamp_header, "timestampHeader")
    content = payload.content
    if content is None:
        content = BODY if timestamp_header is None else f"{TIMESTAMP}.{BODY}"
    before = content.removesuffix(BODY)
    if before == content or BODY in before or before.count(TIMESTAMP) != (timestamp_header is not None):
        raise BadRequest(
            f'body.signature.content must end with "{BODY}", and have "{TIMESTAMP}" once before it where there is a '
            "timestampHeader, and only there"
        )
    return HmacForm(
        header,
        Algorithm(payload.algorithm or Algorithm.SHA256),
        Encoding(payload.encoding or Encoding.HEX),
        payload.prefix or "",
        timestamp_header,
        content,
    )


def _given(payload: SignaturePayload) -> Iterator[str]:
    values = (payload.header, payload.algorithm, payload.encoding, payload.prefix, payload.timestamp_header)
    for name, value in zip(FORM_FIELDS, (*values, payload.content), strict=True):
        if value is not None:
            yield name


def _header_name(name: str, field: str) -> str:
    """Canonical, as the lane knows headers."""
    if not _HEADER_NAME.fullmatch(name) or name.lower() == "host" or name.lower().startswith(RESERVED_PREFIX):
        raise BadRequest(f'body.signature.{field} "{clipped(name)}" is no name of a header that a request can have')
    return canonical_name(name)
