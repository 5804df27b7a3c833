"""A request that asks to validate, from its headers to its answer, with nothing behind it that maps."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from app.api.trials import Crowded, Misfit
from app.gateway.routes import Gateway
from app.gateway.validation import Validation
from app.kafka.events import to_batch
from app.mapping.child_process import ChildGone
from app.mapping.children import PoolClosed
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.errors import KafkaUnavailable
from app.model.event import EventBatch, Failure, Reason
from app.model.receiver import Column, ColumnType, Export, Mapping, Revision
from app.model.signature import Scheme, Signature, SigningSecret

from .lane_stage import PATH, SECRET, Connection, Stage, post, receiver

VALIDATE = PATH + "?validate=1"
EXPORT = Export(
    *("uid-all", "uid-flights", "1", "flights", "all", "All", Conditions(), 0, ()),
    (Revision(1, Mapping("in.c-b.t", (Column("id", ColumnType.ID),)), "token", b"", 0),),
    0,
)
MISFIT = Misfit("all", 0, [Failure(0, Reason.TEMPLATE_ERROR, "x", 'path "x" not found in the body')])


class ScriptedView:
    """Stands where the view of the control log is."""

    def __init__(self, stage: Stage) -> None:
        self.catalog = Catalog()
        self.catalog.put_receiver(receiver(stage.cipher))
        self.catalog.put_export(EXPORT)
        self.away = False

    async def caught_up(self, timeout_seconds: float) -> None:
        if self.away:
            raise KafkaUnavailable("away")


class ScriptedTrials:
    """Stands where events are mapped."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], EventBatch]] = []
        self.found: list[Misfit] = []
        self.fails: BaseException | None = None
        self.full = False

    @contextmanager
    def place(self) -> Iterator[None]:
        if self.full:
            raise Crowded
        yield

    async def misfits(self, exports: Sequence[Export], batch: EventBatch) -> list[Misfit]:
        if self.fails is not None:
            raise self.fails
        self.asked.append(([export.export_id for export in exports], batch))
        return self.found


class Scene:
    """A stage whose application validates."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.view = ScriptedView(stage)
        self.trials = ScriptedTrials()
        validation = Validation(stage.lane, self.view, self.trials)  # type: ignore[arg-type]
        stage.serve(Gateway(stage.lane, validation))

    async def send(self, request: bytes, address: str = "10.0.0.9") -> Connection:
        """Until it is answered."""
        connection = self.stage.connect(address)
        connection.feed(request)
        await self.answered(connection)
        return connection

    async def answered(self, connection: Connection, count: int = 1) -> None:
        async with asyncio.timeout(60):
            while len(connection.statuses) < count:  # noqa: ASYNC110 - written by uvicorn's task, which sets no event
                await asyncio.sleep(0)


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return Scene(stage)


@dataclass
class Record:
    """One of Kafka, with what the lane gave to the producer."""

    value: bytes
    headers: list[tuple[str, bytes | None]]
    offset: int = 0
    timestamp: int = 0
    key: bytes | None = None


def head_of(connection: Connection) -> bytes:
    return connection.transport.written.partition(b"\r\n\r\n")[0]


def error_of(connection: Connection) -> tuple[int, str, str]:
    """Status, name and message of the only answer."""
    found = json.loads(connection.transport.written.partition(b"\r\n\r\n")[2])
    return found["statusCode"], found["error"], found["message"]


async def test_event_that_all_exports_map_is_200_without_a_body_and_is_not_stored(scene: Scene) -> None:
    connection = await scene.send(post(path=VALIDATE))

    head, _, body = connection.transport.written.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert (lines[0], body) == (b"HTTP/1.1 200 OK", b"")
    assert {b"content-length: 0", b"access-control-allow-origin: *"} <= set(lines)
    assert len(head.partition(b"x-request-id: ")[2].split(b"\r\n")[0]) == 15
    assert b"content-type" not in head
    assert [exports for exports, _ in scene.trials.asked] == [["all"]]
    assert scene.stage.publisher.sent == []


async def test_misfit_is_answered_in_the_envelope(scene: Scene) -> None:
    scene.trials.found = [MISFIT]

    connection = await scene.send(post(path=VALIDATE))

    assert error_of(connection) == (
        400,
        "buffer.badRequest",
        'Failed to format record for export "all":\n- path "x" not found in the body.',
    )
    assert {b"access-control-allow-origin: *", b"content-type: application/json"} <= set(
        head_of(connection).split(b"\r\n")
    )
    assert b"x-request-id: " in head_of(connection)
    assert scene.stage.lane.counters.validations == {400: 1}
    assert not scene.stage.lane.counters.refused


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("10.0.0.9", ("x-a: 1", "X-A: 2", "x-z: \xe9", "STREAMS.id: forged", "Content-Type: application/json")),
        ("::ffff:192.168.0.7", ("X-Forwarded-For: 9.9.9.9, 1.2.3.4", "content-TYPE: application/x-ndjson")),
        ("::ffff:10.0.0.9", ("X-Forwarded-For: 1.2.3.4",)),
        ("10.0.0.9", ("X-Real-IP: 1.2.3.4", "Content-Encoding: gzip")),
        ("10.0.0.9", ("Ce-Specversion: 1.0", "Ce-Id: %41", "Ce-Source: /s", "Ce-Type: t")),
        ("10.0.0.9", ("Idempotency-Key: kafka:orders/0/1-2",)),
    ],
)
async def test_mapped_is_what_the_mapper_would_read_from_the_topic(
    scene: Scene, address: str, headers: tuple[str, ...]
) -> None:
    body = b'[{"a": 1.10},\n2]'
    if "Content-Encoding: gzip" in headers:
        body = gzip.compress(body)
    scene.stage.connect(address).feed(post(body, *headers))
    assert scene.stage.publisher.sent
    sent = [
        Record(value, [(name, text.encode() if isinstance(text, str) else text) for name, text in record], offset)
        for offset, (_, value, record) in enumerate(scene.stage.publisher.sent)
    ]
    stored = to_batch(sent, "topic", 0, ids=True)

    await scene.send(post(body, *headers, path=VALIDATE), address)

    ((_, tried),) = scene.trials.asked
    assert (tried.offsets, tried.ips, tried.bodies) == (stored.offsets, stored.ips, stored.bodies)
    assert [list(fields) for fields in tried.headers] == [list(fields) for fields in stored.headers]
    assert [len(event_id) for event_id in tried.ids] == [len(event_id) for event_id in stored.ids]
    assert all(abs(time.time() * 1000 - time_ms) < 60_000 for time_ms in tried.times_ms), "milliseconds since 1970"


async def test_requests_before_and_after_on_the_connection_are_the_lanes(scene: Scene) -> None:
    connection = scene.stage.connect()

    connection.feed(post(b"1", path=PATH + "?validate=0") + post(b"2", path=VALIDATE) + post(b"3"))
    scene.stage.publisher.report()
    await scene.answered(connection, 2)
    scene.stage.publisher.report()

    assert connection.statuses == [200, 200, 200]
    assert scene.stage.publisher.values == [b"1", b"3"]
    assert [batch.bodies for _, batch in scene.trials.asked] == [[b"2"]]


async def test_neither_yes_nor_no_is_refused_and_not_stored(scene: Scene) -> None:
    connection = await scene.send(post(path=PATH + "?validate=maybe"))

    assert error_of(connection) == (
        400,
        "buffer.invalidEnumValue",
        'Value of query.validate must be one of "1", "true", "0", "false" but got value "maybe".',
    )
    assert scene.stage.publisher.sent == []
    assert scene.trials.asked == []


async def test_unknown_receiver_is_not_found_only_behind_a_barrier(scene: Scene) -> None:
    connection = scene.stage.connect()
    connection.feed(post(path=VALIDATE.replace("flights", "trains")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert connection.statuses == []

    scene.stage.lookups.pass_barrier()
    await scene.answered(connection)

    assert error_of(connection) == (404, "buffer.receiverNotFound", 'Receiver "trains" not found in the project.')


async def test_wrong_secret_is_not_found(scene: Scene) -> None:
    connection = scene.stage.connect()
    connection.feed(post(path=VALIDATE.replace("s?", "!?")))
    for _ in range(20):
        await asyncio.sleep(0)

    scene.stage.lookups.pass_barrier()
    await scene.answered(connection)

    assert error_of(connection) == (
        404,
        "buffer.receiverNotFound",
        'Receiver "flights" with given secret not found.',
    )
    assert scene.trials.asked == []


async def test_unknown_receiver_is_503_when_kafka_does_not_say_that_it_is_unknown(scene: Scene) -> None:
    connection = scene.stage.connect()
    connection.feed(post(path=VALIDATE.replace("flights", "trains")))
    for _ in range(20):
        await asyncio.sleep(0)

    scene.stage.lookups.pass_barrier(met=False)
    await scene.answered(connection)

    assert error_of(connection)[:2] == (503, "buffer.kafkaUnavailable")


async def test_stale_view_has_no_verdict(scene: Scene) -> None:
    scene.stage.view.met_end_at = time.monotonic() - 16

    connection = await scene.send(post(path=VALIDATE))

    assert error_of(connection)[:2] == (503, "buffer.kafkaUnavailable")
    assert b"retry-after: 2" in head_of(connection)


async def test_exports_are_read_behind_a_barrier(scene: Scene) -> None:
    scene.view.away = True

    connection = await scene.send(post(path=VALIDATE))

    assert error_of(connection)[:2] == (503, "buffer.kafkaUnavailable")
    assert scene.trials.asked == []


@pytest.mark.parametrize(
    ("fails", "status", "name"),
    [
        (Crowded(), 503, "buffer.overloaded"),
        (ChildGone(), 503, "buffer.overloaded"),
        (PoolClosed(), 503, "buffer.overloaded"),
        (TimeoutError(), 504, "buffer.validationTimeout"),
    ],
)
async def test_mapping_that_cannot_be_had_is_said(scene: Scene, fails: Exception, status: int, name: str) -> None:
    scene.trials.fails = fails

    connection = await scene.send(post(path=VALIDATE))

    assert error_of(connection)[:2] == (status, name)
    assert (b"retry-after: 2" in head_of(connection)) is (status == 503)


async def test_too_many_validations_are_refused_before_the_body_comes(scene: Scene) -> None:
    scene.trials.full = True
    whole = post(b"{}", path=VALIDATE)

    connection = await scene.send(whole[:-2])

    assert error_of(connection)[:2] == (503, "buffer.overloaded")
    assert b"retry-after: 2" in head_of(connection)


@pytest.mark.parametrize("head", ["Content-Length: 1048577", "Transfer-Encoding: chunked"])
async def test_body_above_the_limit_is_refused(scene: Scene, head: str) -> None:
    connection = scene.stage.connect()
    connection.feed(f"POST {VALIDATE} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
    if "chunked" in head:
        connection.feed(b"100001\r\n" + b"x" * 0x100001 + b"\r\n")

    await scene.answered(connection)

    assert error_of(connection) == (413, "buffer.payloadTooLarge", "Payload too large, the maximum size is 1MB.")
    assert scene.trials.asked == []


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (101, "Too many events to validate, the maximum is 100 in one request; without validate more are accepted."),
        (2001, "Too many events, the maximum is 2000 in one request."),
    ],
)
async def test_events_of_one_validation_are_bounded(scene: Scene, count: int, message: str) -> None:
    connection = await scene.send(post(json.dumps(list(range(count))).encode(), path=VALIDATE))

    assert error_of(connection) == (413, "buffer.payloadTooLarge", message)
    assert scene.trials.asked == []


async def test_broken_array_is_answered_as_without_validation(scene: Scene) -> None:
    plain = scene.stage.connect()
    plain.feed(post(b"[1,", "Content-Type: application/json"))

    connection = await scene.send(post(b"[1,", "Content-Type: application/json", path=VALIDATE))

    assert error_of(connection) == error_of(plain)
    assert error_of(connection)[0] == 400


async def test_receiver_that_does_not_split_has_one_event(scene: Scene) -> None:
    scene.stage.lane.directory.take("receiver:1/flights", receiver(scene.stage.cipher, split=False))

    await scene.send(post(b"[1,2]", path=VALIDATE))

    assert [batch.bodies for _, batch in scene.trials.asked] == [[b"[1,2]"]]


async def test_sender_that_leaves_within_the_body_is_no_defect(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    connection = scene.stage.connect()
    connection.feed(post(b"{}", path=VALIDATE)[:-1])
    for _ in range(20):
        await asyncio.sleep(0)

    connection.transport.close()
    async with asyncio.timeout(60):
        while not scene.stage.lane.counters.validations:  # noqa: ASYNC110 - counted in uvicorn's task
            await asyncio.sleep(0)

    assert (scene.trials.asked, caplog.records) == ([], [])


async def test_defect_of_ours_is_a_500_in_the_envelope_and_the_log_has_no_secret(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.trials.fails = ZeroDivisionError()

    connection = await scene.send(post(path=VALIDATE))

    assert error_of(connection)[:2] == (500, "buffer.internalError")
    assert b"access-control-allow-origin: *" in head_of(connection)
    assert "ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text


async def test_request_that_is_not_signed_is_not_validated_either(scene: Scene) -> None:
    secret = SigningSecret("f", scene.stage.cipher.encrypt("a secret of GitHub"))
    signed = replace(receiver(scene.stage.cipher), signature=Signature(Scheme.GITHUB, (secret,)))
    scene.stage.lane.directory.take("receiver:1/flights", signed)
    digest = hmac.new(b"a secret of GitHub", b"body", "sha256").hexdigest()

    refused = await scene.send(post(b"body", path=VALIDATE))
    taken = await scene.send(post(b"body", f"X-Hub-Signature-256: sha256={digest}", path=VALIDATE))

    assert error_of(refused)[:2] == (401, "buffer.invalidSignature")
    assert taken.statuses == [200]
    assert scene.stage.lane.counters.unproven == {"signature_missing": 1}
    assert len(scene.trials.asked) == 1


async def test_token_is_no_header_of_a_validated_event(scene: Scene) -> None:
    path = "/v1/import/1/flights?validate=1"

    connection = await scene.send(post(b"body", f"Authorization: Bearer {SECRET}", "X-A: 1", path=path))

    assert connection.statuses == [200]
    ((_, batch),) = scene.trials.asked
    assert [name for name, _ in batch.headers[0]] == ["Content-Length", "X-A"]


async def test_wrong_token_is_refused_with_a_challenge(scene: Scene) -> None:
    connection = scene.stage.connect()
    connection.feed(post(b"body", "Authorization: Bearer x", path="/v1/import/1/flights?validate=1"))
    for _ in range(20):
        await asyncio.sleep(0)

    scene.stage.lookups.pass_barrier()
    await scene.answered(connection)

    assert error_of(connection)[:2] == (401, "buffer.invalidToken")
    assert b"www-authenticate: Bearer" in connection.transport.written
    assert scene.trials.asked == []
