"""The lane with receivers that demand signatures or tokens: what is stored, what is refused and counted."""

from __future__ import annotations

import gzip
import hmac
import json
from dataclasses import replace

import pytest

from app.model.signature import Scheme, Signature, SigningSecret

from .lane_stage import PATH, SECRET, Connection, Stage, post, receiver

KEY = "a secret of GitHub"
BY_TOKEN = "/v1/import/1/flights"
TOKEN = f"Authorization: Bearer {SECRET}"


def signed(body: bytes) -> str:
    return f"X-Hub-Signature-256: sha256={hmac.new(KEY.encode(), body, 'sha256').hexdigest()}"


@pytest.fixture
def signing(stage: Stage) -> Stage:
    """Its receiver takes what GitHub has signed."""
    secret = SigningSecret("f", stage.cipher.encrypt(KEY))
    record = replace(receiver(stage.cipher), signature=Signature(Scheme.GITHUB, (secret,)))
    stage.lane.directory.take("receiver:1/flights", record)
    return stage


def send(stage: Stage, data: bytes) -> Connection:
    """What Kafka is given, it has."""
    connection = stage.connect()
    connection.feed(data)
    stage.lookups.pass_barrier()
    stage.publisher.report()
    return connection


def error_of(connection: Connection) -> tuple[int, str]:
    found = json.loads(connection.transport.written.rpartition(b"\r\n\r\n")[2])
    return found["statusCode"], found["error"]


async def test_signed_request_is_stored_with_its_headers(signing: Stage) -> None:
    connection = send(signing, post(b"body", signed(b"body")))

    assert connection.statuses == [200]
    assert signing.publisher.values == [b"body"]
    assert "X-Hub-Signature-256" in dict(signing.publisher.sent[0][2])


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("X-A: 1", "signature_missing"),
        ("X-Hub-Signature-256: 00", "signature_malformed"),
        (signed(b"another"), "signature_mismatch"),
    ],
)
async def test_nothing_of_an_unsigned_request_is_stored(signing: Stage, header: str, reason: str) -> None:
    connection = send(signing, post(b"[1, 2]", header, "Content-Type: application/json"))

    assert error_of(connection) == (401, "buffer.invalidSignature")
    assert signing.publisher.sent == []
    assert signing.lane.inflight_bytes == 0
    assert signing.lane.counters.unproven == {reason: 1}
    assert KEY.encode() not in connection.transport.written


async def test_connection_goes_on_after_a_refused_request(signing: Stage) -> None:
    connection = send(signing, post(b"body") + post(b"body", signed(b"body")))

    assert connection.statuses == [401, 200]


async def test_array_is_signed_as_a_whole_and_split_then(signing: Stage) -> None:
    send(signing, post(b"[1, 2]", signed(b"[1, 2]"), "Content-Type: application/json"))

    assert signing.publisher.values == [b"1", b"2"]


async def test_compressed_body_is_signed_as_it_was_received(signing: Stage) -> None:
    body = gzip.compress(b"body")

    statuses = [send(signing, post(body, signed(part), "Content-Encoding: gzip")).statuses for part in (body, b"body")]

    assert statuses == [[200], [401]]


async def test_body_in_parts_is_signed_as_a_whole(signing: Stage) -> None:
    connection = signing.connect()
    request = post(b"body in parts", signed(b"body in parts"))
    connection.feed(request[:-5])
    connection.feed(request[-5:])
    signing.publisher.report()

    assert connection.statuses == [200]


async def test_signature_does_not_stand_in_for_the_secret(signing: Stage) -> None:
    connection = send(signing, post(b"body", signed(b"body"), path=PATH[:-1] + "!"))

    assert error_of(connection) == (404, "buffer.receiverNotFound")
    assert signing.publisher.sent == []


async def test_token_is_no_header_of_the_event(stage: Stage) -> None:
    connection = send(stage, post(b"body", TOKEN, "X-A: 1", path=BY_TOKEN))

    assert connection.statuses == [200]
    assert [name for name, _ in stage.publisher.sent[0][2]][2:] == ["Content-Length", "X-A"]


async def test_header_of_the_senders_own_stays_where_the_secret_is_in_the_url(stage: Stage) -> None:
    send(stage, post(b"body", "Authorization: Basic x"))

    assert dict(stage.publisher.sent[0][2])["Authorization"] == b"Basic x"


@pytest.mark.parametrize(
    ("headers", "reason"), [((), "token_missing"), (("Authorization: Bearer nonsense",), "token_mismatch")]
)
async def test_wrong_token_is_refused_with_a_challenge(stage: Stage, headers: tuple[str, ...], reason: str) -> None:
    connection = send(stage, post(b"body", *headers, path=BY_TOKEN))

    assert error_of(connection) == (401, "buffer.invalidToken")
    assert b"\r\nwww-authenticate: Bearer" in connection.transport.written
    assert stage.publisher.sent == []
    assert stage.lane.counters.unproven == {reason: 1}


async def test_receiver_or_token_that_the_barrier_brings_is_accepted(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"body", "Authorization: Bearer " + "n" * 48, path="/v1/import/1/new"))

    stage.lane.directory.take("receiver:1/new", receiver(stage.cipher, "n" * 48, receiver_id="new"))
    stage.lookups.pass_barrier()
    stage.publisher.report()

    assert connection.statuses == [200]
    assert "Authorization" not in dict(stage.publisher.sent[0][2])


async def test_what_a_receiver_demands_while_the_body_comes_is_demanded_of_it(stage: Stage) -> None:
    connection = stage.connect()
    request = post(b"body")
    connection.feed(request[:-1])

    secret = SigningSecret("f", stage.cipher.encrypt(KEY))
    record = replace(receiver(stage.cipher), signature=Signature(Scheme.GITHUB, (secret,)))
    stage.lane.directory.take("receiver:1/flights", record)
    connection.feed(request[-1:])

    assert error_of(connection) == (401, "buffer.invalidSignature")
    assert stage.publisher.sent == []


async def test_nothing_is_stored_for_a_secret_that_ended_while_the_body_came(stage: Stage) -> None:
    connection = stage.connect()
    request = post(b"body")
    connection.feed(request[:-1])

    stage.lane.directory.take("receiver:1/flights", receiver(stage.cipher, "n" * 48))
    connection.feed(request[-1:])

    assert error_of(connection) == (404, "buffer.receiverNotFound")
    assert stage.publisher.sent == []


@pytest.mark.parametrize(("secret", "bearer_only"), [(SECRET, True), ("n" * 48, False)])
async def test_event_that_kafka_has_is_acknowledged_though_its_secret_would_not_do_any_more(
    stage: Stage, secret: str, bearer_only: bool
) -> None:
    connection = stage.connect()
    connection.feed(post(b"body"))

    record = replace(receiver(stage.cipher, secret), bearer_only=bearer_only)
    stage.lane.directory.take("receiver:1/flights", record)
    stage.publisher.report()

    assert connection.statuses == [200]


async def test_event_by_token_is_acknowledged_when_its_receiver_was_changed_before_kafka_had_it(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"body", TOKEN, path=BY_TOKEN))

    stage.lane.directory.take("receiver:1/flights", replace(receiver(stage.cipher), bearer_only=True))
    stage.publisher.report()

    assert connection.statuses == [200]
