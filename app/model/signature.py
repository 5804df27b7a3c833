"""How requests to a receiver are signed: which scheme, in which form, with which secrets. Pure.

A secret is kept encrypted and is never shown again; its fingerprint tells it from others, so that a file can be
compared with what is in force. What a vendor's scheme demands is in the pages that `Scheme` names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from app.model.errors import BadRequest

MAX_SECRETS = 2
"""The one in force and, during a rotation, the one before or after it."""
MIN_SECRET_LENGTH, MAX_SECRET_LENGTH = 8, 512
"""Characters."""
TOLERANCE_SECONDS = 300.0
"""How far a signed time may be from ours, if a receiver does not say otherwise: what Stripe, Slack and Svix advise."""
MIN_TOLERANCE_SECONDS, MAX_TOLERANCE_SECONDS = 1.0, 86_400.0
BODY, TIMESTAMP = "{body}", "{timestamp}"
"""Places in the text that is signed."""
_STANDARD_PREFIX = "whsec_"
_FINGERPRINT_BYTES = 5


class Scheme(StrEnum):
    """Who signs, and so how.

    Sources: docs.github.com, "Validating webhook deliveries"; docs.stripe.com, "Receive Stripe events in your webhook
    endpoint"; docs.slack.dev, "Verifying requests from Slack"; shopify.dev, "Verify webhook deliveries";
    standardwebhooks.com, specification 1.0, and docs.svix.com, "Verifying webhooks manually".
    """

    HMAC = "hmac"
    """In the form that the receiver's settings describe."""
    GITHUB = "github"
    STRIPE = "stripe"
    SLACK = "slack"
    SHOPIFY = "shopify"
    STANDARD = "standard-webhooks"


class Algorithm(StrEnum):
    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class Encoding(StrEnum):
    HEX = "hex"
    BASE64 = "base64"


@dataclass(frozen=True)
class HmacForm:
    """One signature in one header: `prefix` and the encoded HMAC of `content`.

    `content` is the text that is signed; it ends with "{body}", the body as received, and may have "{timestamp}", the
    value of `timestamp_header` as sent, before that. Names of headers are canonical (app.mapping.headers).
    """

    header: str
    algorithm: Algorithm = Algorithm.SHA256
    encoding: Encoding = Encoding.HEX
    prefix: str = ""
    timestamp_header: str | None = None
    content: str = BODY


FORMS = {
    Scheme.GITHUB: HmacForm("X-Hub-Signature-256", prefix="sha256="),
    Scheme.SHOPIFY: HmacForm("X-Shopify-Hmac-Sha256", encoding=Encoding.BASE64),
    Scheme.SLACK: HmacForm(
        "X-Slack-Signature",
        prefix="v0=",
        timestamp_header="X-Slack-Request-Timestamp",
        content=f"v0:{TIMESTAMP}:{BODY}",
    ),
}
"""Vendors whose scheme is such a form. The others put several things into one header."""


@dataclass(frozen=True)
class SigningSecret:
    """`sealed` is encrypted, or empty where only the fingerprint is known."""

    fingerprint: str
    sealed: bytes = field(repr=False, default=b"")


@dataclass(frozen=True)
class Signature:
    """How requests to one receiver are signed. `form` is there for the scheme `hmac` alone, `tolerance_seconds` where a
    time is signed too. A request that any of the `secrets` has signed is accepted.
    """

    scheme: Scheme
    secrets: tuple[SigningSecret, ...]
    tolerance_seconds: float | None = None
    form: HmacForm | None = None


def signs_time(scheme: Scheme, form: HmacForm | None) -> bool:
    """Whether requests say when they were signed, and the signature covers that."""
    form = form or FORMS.get(scheme)
    return form is None or form.timestamp_header is not None


def signing_key(scheme: Scheme, secret: str) -> bytes:
    """The HMAC's key. Raises BadRequest, which does not repeat the secret.

    Standard Webhooks: the secret is base64, "whsec_" before it or not. Stripe's begin like that too, but are taken as
    they are.
    """
    if scheme is not Scheme.STANDARD:
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(
            f'a secret of the scheme "{scheme}" must be base64, with or without "{_STANDARD_PREFIX}" before it'
        ) from None


def fingerprint(secret: str, receiver_id: str) -> str:
    """Ten digits that tell the secret from others of the receiver. Costly on purpose (20 ms), and too short to find out
    a secret by, even a poor one that could be guessed.
    """
    salt = f"data-streams/{receiver_id}".encode()
    return hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=_FINGERPRINT_BYTES).hex()
