"""Signed requests: the vendors' own published examples, and what is refused.

Each vector is taken as it stands where `VECTORS` says. Stripe's and Shopify's documentation have no example that can be
computed again (no secret, no body), so theirs are those of the tests of their own published libraries.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gateway.signatures import Reason, Verifier
from app.model.signature import Algorithm, Encoding, HmacForm, Scheme, Signature, SigningSecret, signing_key

STRIPE_EVENT = b"""{
  "id": "evt_123",
  "object": "event",
  "account": "acct_123",
  "api_version": "2017-05-25",
  "created": 1533204620,
  "data": {
    "object": {
      "id": "cus_123",
      "object": "customer",
      "created": 123456789,
      "email": "test@stripe.com",
      "livemode": false,
      "metadata": {}
    }
  },
  "livemode": false,
  "pending_webhooks": 1,
  "request": {
    "id": "req_123",
    "idempotency_key": "idempotency-key-123"
  },
  "type": "customer.created"
}
"""
SLACK_COMMAND = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


@dataclass(frozen=True)
class Vector:
    """A signed request. `source` is where the vendor published it; `header` is the one with the signature."""

    source: str
    scheme: Scheme
    secret: str
    body: bytes
    headers: dict[str, bytes]
    header: str
    now: float = 0

    def verifier(self, *secrets: str, tolerance_seconds: float = 300) -> Verifier:
        return verifier(self.scheme, *(secrets or (self.secret,)), tolerance_seconds=tolerance_seconds)


def verifier(
    scheme: Scheme, *secrets: str, tolerance_seconds: float | None = None, form: HmacForm | None = None
) -> Verifier:
    signature = Signature(scheme, tuple(SigningSecret(one) for one in secrets), tolerance_seconds, form)
    return Verifier(signature, [signing_key(scheme, one) for one in secrets])


GITHUB = Vector(
    "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"
    "#testing-the-webhook-payload-validation",
    Scheme.GITHUB,
    "It's a Secret to Everybody",
    b"Hello, World!",
    {"X-Hub-Signature-256": b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    "X-Hub-Signature-256",
)
SLACK = Vector(
    "https://api.slack.com/authentication/verifying-requests-from-slack",
    Scheme.SLACK,
    "8f742231b10e8888abcd99yyyzzz85a5",
    SLACK_COMMAND,
    {
        "X-Slack-Request-Timestamp": b"1531420618",
        "X-Slack-Signature": b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    },
    "X-Slack-Signature",
    1531420618,
)
SVIX = Vector(
    "https://docs.svix.com/receiving/verifying-payloads/how-manual",
    Scheme.STANDARD,
    "whsec_plJ3nmyCDGBKInavdOK15jsl",
    b'{"event_type":"ping","data":{"success":true}}',
    {
        "Svix-Id": b"msg_loFOjxBNrRLzqYUf",
        "Svix-Timestamp": b"1731705121",
        "Svix-Signature": b"v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
    },
    "Svix-Signature",
    1731705121,
)
STANDARD = Vector(
    "https://docs.svix.com/receiving/verifying-payloads/how (headers as standardwebhooks.com names them)",
    Scheme.STANDARD,
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    b'{"test": 2432232314}',
    {
        "Webhook-Id": b"msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": b"1614265330",
        "Webhook-Signature": b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    "Webhook-Signature",
    1614265330,
)
STRIPE = Vector(
    "https://github.com/stripe/stripe-dotnet: src/StripeTests/Services/Events/EventUtilityTest.cs and "
    "src/StripeTests/Resources/event_test_signature.json",
    Scheme.STRIPE,
    "webhook_secret",
    STRIPE_EVENT,
    {
        "Stripe-Signature": b"t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7,"
        b"v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef"
    },
    "Stripe-Signature",
    1533204620,
)
SHOPIFY = Vector(
    "https://github.com/Shopify/shopify-api-php: tests/Webhooks/RegistryTest.php and tests/BaseTestCase.php",
    Scheme.SHOPIFY,
    "steffi",
    b'{"foo":"bar"}',
    {"X-Shopify-Hmac-Sha256": b"/Redz4YXHLnSmmSN8grr5/Jl/Ua3d7yX3iWbjb8R8wo="},
    "X-Shopify-Hmac-Sha256",
)
VECTORS = (GITHUB, SLACK, SVIX, STANDARD, STRIPE, SHOPIFY)
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.header)
timed = pytest.mark.parametrize("vector", [v for v in VECTORS if v.now], ids=lambda vector: vector.header)
OTHER = "whsec_" + base64.b64encode(b"another secret of 24 bytes").decode()
"""A secret that every scheme can have."""


def reason(checked: Verifier, headers: dict[str, bytes], body: bytes, now: float = 0) -> Reason | None:
    fault = checked.check(headers, body, now)
    return None if fault is None else fault.reason


@vectors
def test_request_that_the_vendor_shows_is_accepted(vector: Vector) -> None:
    assert vector.verifier().check(vector.headers, vector.body, vector.now) is None


@vectors
def test_another_body_is_refused(vector: Vector) -> None:
    assert reason(vector.verifier(), vector.headers, vector.body + b" ", vector.now) is Reason.MISMATCH


@vectors
def test_another_secret_is_refused(vector: Vector) -> None:
    assert reason(vector.verifier(OTHER), vector.headers, vector.body, vector.now) is Reason.MISMATCH


@vectors
def test_either_of_two_secrets_will_do(vector: Vector) -> None:
    for secrets in ((vector.secret, OTHER), (OTHER, vector.secret)):
        assert vector.verifier(*secrets).check(vector.headers, vector.body, vector.now) is None


@vectors
def test_each_header_that_is_missing_is_named(vector: Vector) -> None:
    for name in vector.headers:
        left = {other: value for other, value in vector.headers.items() if other != name}

        fault = vector.verifier().check(left, vector.body, vector.now)

        assert fault is not None
        assert fault.reason is Reason.MISSING
        assert "missing" in fault.message


@vectors
def test_no_message_has_a_secret_or_what_would_have_been_right(vector: Vector) -> None:
    right = vector.headers[vector.header].decode()
    checks = [
        vector.verifier().check({}, vector.body, vector.now),
        vector.verifier().check({**vector.headers, vector.header: b"?"}, vector.body, vector.now),
        vector.verifier(OTHER).check(vector.headers, vector.body, vector.now),
    ]

    for fault in checks:
        assert fault is not None
        assert vector.header.removeprefix("Svix-").removeprefix("Webhook-") in fault.message
        assert not any(secret in fault.message for secret in (vector.secret, OTHER, right, right[-20:]))


@timed
@pytest.mark.parametrize(
    ("seconds", "expected"), [(-301, Reason.EXPIRED), (-300, None), (300, None), (301, Reason.EXPIRED)]
)
def test_signed_time_must_be_within_the_tolerance(vector: Vector, seconds: float, expected: Reason | None) -> None:
    assert reason(vector.verifier(), vector.headers, vector.body, vector.now + seconds) is expected


@timed
def test_time_is_signed(vector: Vector) -> None:
    digits = str(int(vector.now)).encode()
    later = {name: value.replace(digits, str(int(vector.now) + 100).encode()) for name, value in vector.headers.items()}

    assert later != vector.headers
    assert reason(vector.verifier(), later, vector.body, vector.now + 100) is Reason.MISMATCH


@pytest.mark.parametrize(
    "time", [b"", b"+1533204620", b" 1533204620", b"1533204_620", b"1.5e9", b"9" * 13, b"\xd9\xa1"]
)
@pytest.mark.parametrize("vector", [SLACK, STANDARD], ids=lambda vector: vector.header)
def test_time_is_digits_alone(vector: Vector, time: bytes) -> None:
    (header,) = (name for name in vector.headers if name.endswith("Timestamp"))

    assert reason(vector.verifier(), {**vector.headers, header: time}, vector.body, vector.now) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("vector", "value"),
    [
        (GITHUB, b"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        (GITHUB, b"sha256="),
        (GITHUB, b"sha256=zz"),
        (GITHUB, b"sha256=75 71"),
        (SHOPIFY, b""),
        (SHOPIFY, b"/Redz4YXHLnSmmSN8grr5/Jl/Ua3d7yX3iWbjb8R8wo"),
        (SHOPIFY, b"/Redz4YXHLnSmmSN8grr 5/Jl/Ua3d7yX3iWbjb8R8wo="),
        (SHOPIFY, b"%%%%"),
        (SLACK, b"v1=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
        (STRIPE, b"v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"),
        (STRIPE, b"t=1533204620"),
        (STRIPE, b"t=1533204620,t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"),
        (STRIPE, b"t=1533204620,v0=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"),
        (STRIPE, b"t=-1,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"),
        (STANDARD, b"g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (STANDARD, b"v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (STANDARD, b"v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ],
)
def test_header_of_another_form_is_refused(vector: Vector, value: bytes) -> None:
    headers = {**vector.headers, vector.header: value}

    assert reason(vector.verifier(), headers, vector.body, vector.now) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("vector", "value"),
    [
        (STRIPE, b"t=1533204620,v1=00ff,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"),
        (STRIPE, b"v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7, t=1533204620"),
        (STANDARD, b"v1,Ym9ndXM= v1a,eHh4 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ],
)
def test_one_right_signature_among_others_will_do(vector: Vector, value: bytes) -> None:
    headers = {**vector.headers, vector.header: value}

    assert vector.verifier().check(headers, vector.body, vector.now) is None


def test_id_with_a_full_stop_cannot_pass_a_part_of_a_body_off_as_time_and_body() -> None:
    """Who could write into a signed body would have it sent again, at another time, cut down to what they wrote."""
    signed = b'msg_1.1000.{"name": "x.9000.forged"}'
    digest = hmac.digest(signing_key(Scheme.STANDARD, OTHER), signed, "sha256")
    headers = {
        "Webhook-Id": b'msg_1.1000.{"name": "x',
        "Webhook-Timestamp": b"9000",
        "Webhook-Signature": b"v1," + base64.b64encode(digest),
    }

    assert reason(verifier(Scheme.STANDARD, OTHER), headers, b'forged"}', 9000) is Reason.MALFORMED


FORM = HmacForm("X-Signature")


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("encoding", Encoding)
def test_form_of_ones_own(algorithm: Algorithm, encoding: Encoding) -> None:
    form = replace(FORM, algorithm=algorithm, encoding=encoding, prefix="v1=", content="a:{body}")
    mac = hmac.new(b"0123456789", b"a:body", getattr(hashlib, algorithm))
    text = mac.hexdigest().encode() if encoding is Encoding.HEX else base64.b64encode(mac.digest())
    checked = verifier(Scheme.HMAC, "0123456789", form=form)

    assert checked.check({"X-Signature": b"v1=" + text}, b"body", 0) is None
    assert reason(checked, {"X-Signature": b"v1=" + text}, b"a:body") is Reason.MISMATCH
    assert reason(checked, {"X-Signature": text}, b"body") is Reason.MALFORMED


def test_time_of_a_form_of_ones_own_is_checked_and_signed() -> None:
    form = replace(FORM, timestamp_header="X-Time", content="{timestamp}.{body}")
    text = hmac.new(b"0123456789", b"1000.body", "sha256").hexdigest().encode()
    checked = verifier(Scheme.HMAC, "0123456789", tolerance_seconds=10, form=form)

    assert checked.check({"X-Signature": text, "X-Time": b"1000"}, b"body", 1010) is None
    assert reason(checked, {"X-Signature": text, "X-Time": b"1000"}, b"body", 1011) is Reason.EXPIRED
    assert reason(checked, {"X-Signature": text, "X-Time": b"1005"}, b"body", 1010) is Reason.MISMATCH
    assert reason(checked, {"X-Signature": text}, b"body", 1010) is Reason.MISSING


@given(st.binary(max_size=60), st.binary(max_size=200))
def test_nothing_that_is_made_up_is_accepted_or_raises(value: bytes, body: bytes) -> None:
    for vector in VECTORS:
        headers = {**vector.headers, vector.header: value}

        assert vector.verifier().check(headers, body, vector.now) is not None


@given(st.binary(max_size=200))
def test_what_is_signed_is_accepted_whatever_the_body(body: bytes) -> None:
    text = hmac.new(GITHUB.secret.encode(), body, "sha256").hexdigest()

    assert GITHUB.verifier().check({GITHUB.header: f"sha256={text}".encode()}, body, 0) is None
