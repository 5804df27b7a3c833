"""Slack tests the URL of a receiver: the challenge comes back, and is no event."""

from __future__ import annotations

import gzip
import hmac
import json
import time
from dataclasses import replace

import pytest

from app.gateway.challenge import MAX_BYTES
from app.model.signature import Scheme, Signature, SigningSecret

from .lane_stage import PATH, Connection, Stage, post, receiver

KEY = "a secret of Slack"
# As docs.slack.dev has it (Events API, url_verification).
CHALLENGE = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"
TEST = {"token": "Jhj5dZrVaK7ZwHHjRyZWjbDl", "challenge": CHALLENGE, "type": "url_verification"}
BODY = json.dumps(TEST).encode()
JSON = "Content-Type: application/json"


@pytest.fixture
def slack(stage: Stage) -> Stage:
    """Its receiver takes what Slack has signed."""
    return with_scheme(stage, Scheme.SLACK)


def with_scheme(stage: Stage, scheme: Scheme) -> Stage:
    signature = Signature(scheme, (SigningSecret("f", stage.cipher.encrypt(KEY)),))
    stage.lane.directory.take("receiver:1/flights", replace(receiver(stage.cipher), signature=signature))
    return stage


def signed(body: bytes, key: str = KEY) -> tuple[str, str]:
    now = int(time.time())
    digest = hmac.new(key.encode(), b"v0:%d:%b" % (now, body), "sha256").hexdigest()
    return f"X-Slack-Request-Timestamp: {now}", f"X-Slack-Signature: v0={digest}"


def send(stage: Stage, data: bytes) -> Connection:
    """What Kafka is given, it has."""
    connection = stage.connect()
    connection.feed(data)
    stage.publisher.report()
    return connection


async def test_signed_challenge_comes_back_and_is_no_event(slack: Stage) -> None:
    connection = send(slack, post(BODY, *signed(BODY), JSON))

    head, _, body = connection.transport.written.partition(b"\r\n\r\n")
    assert connection.statuses == [200]
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert json.loads(body) == {"challenge": CHALLENGE}
    assert (slack.publisher.sent, slack.lane.counters.events, slack.lane.inflight_bytes) == ([], 0, 0)


async def test_connection_goes_on_with_events_after_a_challenge(slack: Stage) -> None:
    connection = send(slack, post(BODY, *signed(BODY), JSON) + post(b"{}", *signed(b"{}"), JSON))

    assert connection.statuses == [200, 200]
    assert slack.publisher.values == [b"{}"]


async def test_challenge_is_answered_whatever_else_the_url_asks_for(slack: Stage) -> None:
    connection = send(slack, post(BODY, *signed(BODY), JSON, path=f"{PATH}?receipt=1"))

    assert connection.transport.written.endswith(b'{"challenge":"%b"}' % CHALLENGE.encode())


async def test_challenge_that_another_has_signed_stays_unanswered(slack: Stage) -> None:
    connection = send(slack, post(BODY, *signed(BODY, "another secret"), JSON))

    assert connection.statuses == [401]
    assert CHALLENGE.encode() not in connection.transport.written


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({**TEST, "type": "event_callback", "text": "url_verification"}).encode(),
        json.dumps({**TEST, "challenge": 1}).encode(),
        json.dumps({"type": "url_verification"}).encode(),
        json.dumps({**TEST, "challenge": "x" * MAX_BYTES}).encode(),
        json.dumps({"event": TEST}).encode(),
        BODY[:-1],
        b'"url_verification"',
        gzip.compress(BODY),
    ],
)
async def test_anything_else_that_slack_signs_is_an_event(slack: Stage, body: bytes) -> None:
    connection = send(slack, post(body, *signed(body)))

    assert connection.statuses == [200]
    assert slack.publisher.values == [body]


async def test_challenge_is_an_event_where_slack_is_not_the_sender(stage: Stage) -> None:
    send(stage, post(BODY))
    github = with_scheme(stage, Scheme.GITHUB)
    digest = hmac.new(KEY.encode(), BODY, "sha256").hexdigest()

    send(github, post(BODY, f"X-Hub-Signature-256: sha256={digest}"))

    assert github.publisher.values == [BODY, BODY]
