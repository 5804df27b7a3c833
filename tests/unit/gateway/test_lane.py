"""One request through the lane: what becomes an event, what is answered, which bytes stay counted."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from uuid import UUID

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.gateway.dispatch import EVENTS_PER_TURN

from .lane_stage import PATH, Connection, Stage, post, receiver

FAILED = KafkaError(KafkaError._MSG_TIMED_OUT)


def error_of(connection: Connection) -> tuple[int, str, str]:
    """Status, name and message of the last answer."""
    found = json.loads(connection.transport.written.rpartition(b"\r\n\r\n")[2])
    return found["statusCode"], found["error"], found["message"]


async def turns(count: int = 20) -> None:
    """Let the event loop do what it has been asked to do."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_event_is_body_and_headers_byte_for_byte(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"\x00\xff [", "x-a: 1", "X-A: 2", "x-z: \xe9", "STREAMS.id: forged"))

    ((topic, value, headers),) = stage.publisher.sent
    assert topic == "streams.events.1.flights"
    assert value == b"\x00\xff ["
    assert [name for name, _ in headers] == ["streams.id", "streams.ip", "Content-Length", "X-A", "X-A", "X-Z"]
    assert UUID(str(headers[0][1])).version == 7
    assert headers[1:] == [
        ("streams.ip", b"10.0.0.9"),
        ("Content-Length", b"4"),
        ("X-A", b"1"),
        ("X-A", b"2"),
        ("X-Z", "\xe9".encode("latin-1")),
    ]


async def test_nothing_is_answered_before_kafka_has_the_event(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())
    assert connection.statuses == []

    stage.publisher.report()

    assert connection.statuses == [200]
    assert stage.lane.inflight_bytes == 0


@pytest.mark.parametrize("error", [BufferError("full"), KafkaException(FAILED)])
async def test_event_that_cannot_be_queued_is_not_acknowledged(stage: Stage, error: Exception) -> None:
    stage.publisher.fails_at = (0, error)
    connection = stage.connect()

    connection.feed(post())

    assert connection.statuses == [503]
    assert b"retry-after: 2\r\n" in connection.transport.written
    assert stage.lane.inflight_bytes == 0


async def test_failed_report_is_503_with_retry_after(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())

    stage.publisher.report(FAILED)

    assert error_of(connection)[:2] == (503, "buffer.kafkaUnavailable")
    assert b"retry-after: 2\r\n" in connection.transport.written


async def test_array_is_acknowledged_when_kafka_has_all_of_it(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b'[1, {"a": 2}]', "Content-Type: application/json"))
    assert stage.publisher.values == [b"1", b'{"a": 2}']

    stage.publisher.report(count=1)
    assert connection.statuses == []
    stage.publisher.report()

    assert connection.statuses == [200]
    assert stage.lane.counters.events == 2
    assert len({headers[0][1] for _, _, headers in stage.publisher.sent}) == 2, "each event has an id of its own"


async def test_array_of_which_kafka_lost_one_is_not_acknowledged(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"[1,2,3]"))

    stage.publisher.report(count=1)
    stage.publisher.report(FAILED, count=1)
    stage.publisher.report()

    assert connection.statuses == [503]
    assert stage.lane.inflight_bytes == 0


async def test_queue_that_fills_up_within_an_array_keeps_the_bytes_counted_until_the_reports(stage: Stage) -> None:
    stage.publisher.fails_at = (2, BufferError("full"))
    connection = stage.connect()

    connection.feed(post(b"[1,2,3]"))

    assert connection.statuses == [503]
    assert stage.lane.inflight_bytes > 0
    stage.publisher.report()
    assert stage.lane.inflight_bytes == 0
    assert connection.statuses == [503]


async def test_long_array_leaves_turns_to_other_requests(stage: Stage) -> None:
    count = 3 * EVENTS_PER_TURN
    long, short = stage.connect(), stage.connect()

    long.feed(post(json.dumps(list(range(count))).encode()))
    short.feed(post(b"short"))

    assert stage.publisher.values[-1] == b"short"
    await turns()
    assert [value for value in stage.publisher.values if value != b"short"] == [b"%d" % n for n in range(count)]
    stage.publisher.report()
    assert (long.statuses, short.statuses) == ([200], [200])
    assert stage.lane.inflight_bytes == 0


async def test_sender_that_leaves_within_a_long_array_gives_all_bytes_back(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(json.dumps(list(range(3 * EVENTS_PER_TURN))).encode()))

    connection.transport.close()
    await turns()
    stage.publisher.report()

    assert len(stage.publisher.sent) == EVENTS_PER_TURN
    assert stage.lane.inflight_bytes == 0
    assert stage.lane.counters.abandoned == 1


@pytest.mark.parametrize(
    ("body", "status"), [(b"[]", 200), (b"[1,", 400), (json.dumps([0] * 2001).encode(), 413), (b"\n\n", 200)]
)
async def test_body_without_an_event_to_take_is_answered_at_once(stage: Stage, body: bytes, status: int) -> None:
    kind = "application/x-ndjson" if body.startswith(b"\n") else "application/json"
    connection = stage.connect()

    connection.feed(post(body, f"Content-Type: {kind}"))
    await turns()

    assert connection.statuses == [status]
    assert stage.publisher.sent == []
    assert stage.lane.inflight_bytes == 0


async def test_headers_count_once_for_each_event(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(json.dumps([0] * 2000).encode(), "X-Long: " + "x" * 1000))
    await turns()

    assert error_of(connection)[0] == 413
    assert "Each of the 2000 events carries the request's headers" in error_of(connection)[2]
    assert stage.publisher.sent == []


async def test_body_that_is_no_json_text_is_one_event(stage: Stage) -> None:
    stage.connect().feed(post(b"[1,2]", "Content-Type: text/plain"))

    assert stage.publisher.values == [b"[1,2]"]


async def test_receiver_that_does_not_split_gets_the_array(stage: Stage) -> None:
    stage.lane.directory.take("receiver:1/whole", receiver(stage.cipher, receiver_id="whole", split=False))

    stage.connect().feed(post(b"[1,2]", path=PATH.replace("flights", "whole")))

    assert stage.publisher.values == [b"[1,2]"]


async def test_declared_body_above_the_limit_is_refused_before_it_comes(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(f"POST {PATH} HTTP/1.1\r\nContent-Length: {1024 * 1024 + 1}\r\n\r\n".encode())

    assert error_of(connection) == (
        413,
        "buffer.payloadTooLarge",
        "Payload too large, the maximum size is 1MB.",
    )
    assert b"connection: close\r\n" in connection.transport.written
    assert connection.transport.ended
    connection.feed(b"x" * 100_000)
    assert connection.statuses == [413]


async def test_chunked_body_is_refused_when_it_passes_the_limit(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    piece = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"

    for _ in range(4):
        connection.feed(piece)
    assert connection.statuses == []
    connection.feed(b"1\r\nx\r\n")

    assert connection.statuses == [413]
    assert stage.lane.inflight_bytes == 0
    assert stage.publisher.sent == []


async def test_no_more_bytes_than_the_bound_are_in_flight(stage: Stage) -> None:
    body = b"x" * 600_000
    first, second, third = stage.connect(), stage.connect(), stage.connect()
    first.feed(post(body)[:1000])

    second.feed(post(body))

    assert error_of(second)[:2] == (503, "buffer.overloaded")
    assert stage.publisher.sent == []
    assert stage.lane.inflight_bytes == len(body)
    assert not second.transport.reading, "who was told to come again later is not read"
    third.feed(post(b"small"))
    assert stage.publisher.values == [b"small"]

    first.feed(post(body)[1000:])
    stage.publisher.report()
    second.protocol.sweep(time.monotonic())
    second.feed(post(body))
    stage.publisher.report()

    assert second.transport.reading
    assert [first.statuses, second.statuses] == [[200], [503, 200]]


async def test_chunks_beyond_the_bound_are_not_kept(stage: Stage) -> None:
    first, second = stage.connect(), stage.connect()
    first.feed(post(b"x" * 1_000_000)[:1000])
    second.feed(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    second.feed(b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n")

    assert second.statuses == [503]
    assert stage.publisher.sent == []
    assert stage.lane.inflight_bytes == 1_000_000


@pytest.mark.parametrize("coding", ["Content-Length: 2", "Transfer-Encoding: chunked"])
async def test_large_headers_count_until_the_report_and_small_ones_do_not(stage: Stage, coding: str) -> None:
    first, second = stage.connect(), stage.connect()
    large = f"X-Large: {'x' * 3000}"
    head = f"POST {PATH} HTTP/1.1\r\n{coding}\r\n"
    body = b"{}" if "Length" in coding else b"2\r\n{}\r\n0\r\n\r\n"

    first.feed(f"{head}{large}\r\n\r\n".encode() + body)
    after_large = stage.lane.inflight_bytes
    second.feed(f"{head}X-Small: x\r\n\r\n".encode() + body)

    assert 3000 < after_large < 3300
    assert stage.lane.inflight_bytes == after_large + 2
    stage.publisher.report()
    assert [first.statuses, second.statuses, stage.lane.inflight_bytes] == [[200], [200], 0]


async def test_sender_who_asks_first_is_invited_or_refused(stage: Stage) -> None:
    welcome, unwelcome = stage.connect(), stage.connect()
    head = "POST {} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n"

    welcome.feed(head.format(PATH, 2).encode())
    unwelcome.feed(head.format(PATH, 2_000_000).encode())

    assert welcome.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert unwelcome.statuses == [413]
    welcome.feed(b"{}")
    stage.publisher.report()
    assert welcome.statuses == [100, 200]


async def test_stale_view_accepts_nothing(stage: Stage) -> None:
    stage.view.met_end_at = time.monotonic() - 16
    stage.lane.look_at_view()
    connection = stage.connect()

    connection.feed(post())

    assert connection.statuses == [503]
    assert b"retry-after" in connection.transport.written
    assert stage.publisher.sent == []


async def test_event_is_not_acknowledged_when_its_receiver_ended_before_kafka_had_it(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())

    stage.lane.directory.take("receiver:1/flights", None)
    stage.publisher.report()

    assert error_of(connection)[:2] == (404, "buffer.receiverNotFound")
    assert stage.lane.inflight_bytes == 0


async def test_event_is_acknowledged_when_its_receiver_was_renamed_before_kafka_had_it(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())

    stage.lane.directory.take("receiver:1/flights", replace(receiver(stage.cipher), name="Flights of today"))
    stage.publisher.report()

    assert connection.statuses == [200]


async def test_event_is_not_acknowledged_when_the_view_grew_old_before_kafka_had_it(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())

    stage.view.met_end_at = time.monotonic() - 16
    stage.lane.look_at_view()
    stage.publisher.report()

    assert connection.statuses == [503]
    assert stage.lane.inflight_bytes == 0


async def test_secret_of_another_key_is_unavailable_not_wrong(stage: Stage) -> None:
    other = Stage()
    stage.lane.directory.take("receiver:1/other", receiver(other.cipher, receiver_id="other"))
    connection = stage.connect()

    connection.feed(post(path=PATH.replace("flights", "other")))
    stage.lookups.pass_barrier()

    assert error_of(connection)[:2] == (503, "buffer.misconfigured")


async def test_unknown_receiver_is_not_found_only_behind_a_barrier(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(path=PATH.replace("flights", "none")))
    assert connection.statuses == []

    stage.lookups.pass_barrier()

    assert error_of(connection) == (404, "buffer.receiverNotFound", 'Receiver "none" not found in the project.')
    assert stage.lane.inflight_bytes == 0


@pytest.mark.parametrize("receiver_id", ["flights", "new"])
async def test_receiver_or_secret_that_the_barrier_brings_is_accepted(stage: Stage, receiver_id: str) -> None:
    secret = "n" * 48
    connection = stage.connect()
    connection.feed(post(b"event", path=f"/v1/import/1/{receiver_id}/{secret}"))

    stage.lane.directory.take(f"receiver:1/{receiver_id}", receiver(stage.cipher, secret, receiver_id=receiver_id))
    stage.lookups.pass_barrier()
    stage.publisher.report()

    assert stage.publisher.values == [b"event"]
    assert connection.statuses == [200]


async def test_unknown_receiver_is_503_when_kafka_does_not_say_that_it_is_unknown(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(path=PATH[:-1] + "!"))

    stage.lookups.pass_barrier(met=False)

    assert connection.statuses == [503]


async def test_sender_that_leaves_before_the_barrier_leaves_nothing(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(path=PATH[:-1] + "!"))

    connection.transport.close()
    stage.lane.directory.take("receiver:1/flights", receiver(stage.cipher, PATH[-48:-1] + "!"))
    stage.lookups.pass_barrier()

    assert stage.publisher.sent == []
    assert stage.lane.inflight_bytes == 0


@pytest.mark.parametrize(
    ("address", "header", "shown"),
    [
        ("10.0.0.9", "X-Forwarded-For: 1.2.3.4", b"10.0.0.9"),
        ("192.168.0.7", "X-Forwarded-For: 1.2.3.4", b"1.2.3.4"),
        ("::ffff:192.168.0.7", "X-Real-IP: 1.2.3.4", b"1.2.3.4"),
        ("::ffff:10.0.0.9", "X-Real-IP: 1.2.3.4", b"10.0.0.9"),
    ],
)
async def test_forwarded_address_counts_only_from_a_trusted_proxy(
    stage: Stage, address: str, header: str, shown: bytes
) -> None:
    stage.connect(address).feed(post(b"{}", header))

    assert dict(stage.publisher.sent[0][2])["streams.ip"] == shown


async def test_late_acknowledgement_is_503_once_and_the_report_gives_the_bytes_back(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())

    connection.protocol.sweep(time.monotonic() + 9)
    assert connection.statuses == []
    connection.protocol.sweep(time.monotonic() + 11)
    assert connection.statuses == [503]
    assert stage.lane.inflight_bytes == 2
    stage.publisher.report()

    assert connection.statuses == [503]
    assert stage.lane.inflight_bytes == 0
    connection.feed(post())
    stage.publisher.report()
    assert connection.statuses == [503, 200]


async def test_deadline_that_passed_while_the_process_was_frozen_leaves_kafka_a_moment_to_answer(stage: Stage) -> None:
    connection, now = stage.connect(), time.monotonic()
    connection.feed(post(b"{}"))
    stage.lane.hold_to_deadlines(now)

    stage.lane.hold_to_deadlines(now + 60)
    stage.lane.hold_to_deadlines(now + 61)
    frozen = list(connection.statuses)
    stage.publisher.report()

    assert (frozen, connection.statuses) == ([], [200])


async def test_moment_after_a_freeze_ends(stage: Stage) -> None:
    connection, now = stage.connect(), time.monotonic()
    connection.feed(post(b"{}"))
    stage.lane.hold_to_deadlines(now)

    for second in (60, 63):  # the loop is slow after that too
        stage.lane.hold_to_deadlines(now + second)

    assert connection.statuses == [503]
