"""Requests that are not plainly one event: what goes to Kafka, what is answered, which bytes stay counted."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.api.idempotency import ids_of
from app.gateway.dispatch import EVENTS_PER_TURN

from .lane_stage import PATH, Connection, Stage, post, receiver
from .test_lane import error_of, turns

FAILED = KafkaError(KafkaError._MSG_TIMED_OUT)
EACH = "Prefer: return=representation"
CLOUDEVENTS = "Content-Type: application/cloudevents-batch+json"
LINES = "Content-Type: application/x-ndjson"


def told(connection: Connection) -> dict[str, Any]:
    """The body of the last answer."""
    found: dict[str, Any] = json.loads(connection.transport.written.rpartition(b"\r\n\r\n")[2])
    return found


def cloudevent(id: str, **more: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": id, "source": "/shop", "type": "order", "data": 1, **more}


def sent_ids(stage: Stage) -> list[object]:
    return [headers[0][1] for _, _, headers in stage.publisher.sent]


async def test_array_behind_a_byte_order_mark_is_split(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(b"\xef\xbb\xbf[1, 2]", "Content-Type: application/json"))
    await turns()
    stage.publisher.report()

    assert stage.publisher.values == [b"1", b"2"]


async def test_compressed_array_is_split(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(gzip.compress(b"[1, 2]"), "Content-Encoding: gzip", "Content-Type: application/json"))
    await turns()
    stage.publisher.report()

    assert stage.publisher.values == [b"1", b"2"]
    assert dict(stage.publisher.sent[0][2])["Content-Encoding"] == b"gzip"
    assert (connection.statuses, stage.lane.inflight_bytes) == ([200], 0)
    assert stage.lane.counters.body_bytes == 6


@pytest.mark.parametrize("split", ["on", "off"])
async def test_text_in_another_charset_is_stored_in_utf_8_with_its_headers_as_they_came(
    stage: Stage, split: str
) -> None:
    stage.lane.directory.take("receiver:1/flights", receiver(stage.cipher, split=split == "on"))
    connection = stage.connect()

    connection.feed(post(b"caf\xe9", "Content-Type: text/plain; charset=iso-8859-1"))
    stage.publisher.report()

    assert stage.publisher.values == ["café".encode()]
    assert dict(stage.publisher.sent[0][2])["Content-Type"] == b"text/plain; charset=iso-8859-1"
    assert (connection.statuses, stage.lane.inflight_bytes) == ([200], 0)


async def test_inflated_bytes_count_until_the_report(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(gzip.compress(b"x" * 500_000), "Content-Encoding: gzip"))
    await turns()

    assert stage.publisher.values == [b"x" * 500_000]
    assert stage.lane.inflight_bytes > 500_000
    stage.publisher.report()
    assert (connection.statuses, stage.lane.inflight_bytes) == ([200], 0)


async def test_bomb_is_413_and_nothing_stays_counted(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(gzip.compress(bytes(600_000)), "Content-Encoding: gzip"))
    await turns()

    assert error_of(connection)[:2] == (413, "buffer.payloadTooLarge")
    assert "the maximum size of an inflated body is" in error_of(connection)[2]
    assert (stage.publisher.sent, stage.lane.inflight_bytes) == ([], 0)


async def test_body_for_which_the_gateway_has_no_room_when_inflated_is_503(stage: Stage) -> None:
    first, second = stage.connect(), stage.connect()
    first.feed(post(b"x" * 900_000))

    second.feed(post(gzip.compress(b"y" * 400_000), "Content-Encoding: gzip"))
    await turns()

    assert error_of(second)[:2] == (503, "buffer.overloaded")
    assert stage.lane.inflight_bytes == 900_000


async def test_sender_that_leaves_while_its_body_is_inflated_leaves_nothing(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(gzip.compress(b"x" * 500_000), "Content-Encoding: gzip"))

    connection.transport.close()
    await turns()

    assert (stage.publisher.sent, stage.lane.inflight_bytes) == ([], 0)


@pytest.mark.parametrize(
    ("header", "status", "name", "text"),
    [
        ("Content-Encoding: br", 415, "buffer.unsupportedMediaType", "supported encodings: gzip, deflate and zstd"),
        ("Content-Encoding: gzip", 400, "buffer.badRequest", "The body is not valid gzip"),
        ("Content-Type: application/cloudevents+json", 400, "buffer.badRequest", "The CloudEvent is not valid JSON"),
        ("Content-Type: text/plain; charset=ebcdic", 415, "buffer.unsupportedMediaType", "supported charsets: utf-8"),
        ("Content-Type: application/cloudevents+avro", 415, "buffer.unsupportedMediaType", "CloudEvents are taken in"),
        ("Ce-Specversion: 1.0", 400, "buffer.badRequest", 'The CloudEvent has no "id", "source", "type"'),
        ("Idempotency-Key: kafka:x", 400, "buffer.badRequest", "is no list of places in Kafka"),
        ("Idempotency-Key: kafka:x/0/1-2", 400, "buffer.badRequest", "names the places of 2 events"),
    ],
)
async def test_refusal_says_what_was_wrong_and_stores_nothing(
    stage: Stage, header: str, status: int, name: str, text: str
) -> None:
    connection = stage.connect()

    connection.feed(post(b"not that", header))

    assert error_of(connection)[:2] == (status, name)
    assert text in error_of(connection)[2]
    assert (stage.publisher.sent, stage.lane.inflight_bytes) == ([], 0)


@pytest.mark.parametrize(
    ("query", "values"), [("?split=off", [b"[1,2]"]), ("?split=on", [b"1", b"2"]), ("?x", [b"1", b"2"])]
)
async def test_sender_says_whether_the_body_is_split(stage: Stage, query: str, values: list[bytes]) -> None:
    stage.connect().feed(post(b"[1,2]", path=PATH + query))

    assert stage.publisher.values == values


async def test_unknown_word_for_split_is_refused(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(b"[1,2]", path=PATH + "?split=no"))

    assert error_of(connection) == (
        400,
        "buffer.invalidEnumValue",
        'Value of query.split must be one of "on", "off" but got value "no".',
    )


async def test_key_gives_the_events_of_a_request_the_same_ids_each_time(stage: Stage) -> None:
    for _ in range(2):
        stage.connect().feed(post(b"[1,2]", "Idempotency-Key: k"))
    stage.connect().feed(post(b"1", "Idempotency-Key: k"))

    both = list(ids_of(b"k", "1/flights", 2))
    assert sent_ids(stage) == [*both, *both, both[0]]


async def test_cloudevents_of_a_batch_are_events_with_headers_and_ids_of_their_own(stage: Stage) -> None:
    batch = json.dumps([cloudevent("1"), cloudevent("2")]).encode()
    for _ in range(2):
        stage.connect().feed(post(batch, CLOUDEVENTS))

    assert stage.publisher.values == [b"1"] * 4
    assert [dict(headers)["Ce-Id"] for _, _, headers in stage.publisher.sent] == [b"1", b"2", b"1", b"2"]
    first, second, third, fourth = sent_ids(stage)
    assert (first, second) == (third, fourth)
    assert first != second


async def test_receipt_has_the_id_and_the_place_of_each_event(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"[1,2]", path=PATH + "?receipt=1"))

    stage.publisher.report()

    assert connection.statuses == [200]
    assert told(connection) == {
        "events": [
            {"id": event_id, "partition": 3, "offset": offset} for offset, event_id in enumerate(sent_ids(stage))
        ]
    }
    assert b"content-type: application/json\r\n" in connection.transport.written


async def test_what_is_told_of_each_event_counts_among_the_bytes_that_are_held(stage: Stage) -> None:
    many = b"1\n" * 2000
    plain, told = stage.connect(), stage.connect()

    plain.feed(post(many, LINES))
    await turns(10)
    stage.publisher.report()
    told.feed(post(many, LINES, path=PATH + "?receipt=1"))
    await turns(10)

    assert plain.statuses == [200]
    assert error_of(told)[:2] == (413, "buffer.payloadTooLarge")
    assert "carries the request's headers and a part of its answer" in error_of(told)[2]
    assert (len(stage.publisher.sent), stage.lane.inflight_bytes) == (2000, 0)


async def test_connection_goes_on_after_an_answer_with_a_body(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"1", path=PATH + "?receipt=1"))
    stage.publisher.report()

    connection.feed(post(b"2"))
    stage.publisher.report()

    assert connection.statuses == [200, 200]


async def test_receipt_of_an_array_of_which_kafka_lost_one_is_503(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"[1,2]", path=PATH + "?receipt=1"))

    stage.publisher.report(count=1)
    stage.publisher.report(FAILED)

    assert error_of(connection)[:2] == (503, "buffer.kafkaUnavailable")


async def test_each_event_has_its_own_end_when_it_is_asked_for(stage: Stage) -> None:
    connection = stage.connect()
    batch = json.dumps([cloudevent("1"), cloudevent("2", specversion="2"), cloudevent("3")]).encode()
    connection.feed(post(batch, CLOUDEVENTS, EACH))

    stage.publisher.report(count=1)
    stage.publisher.report(FAILED)

    assert connection.statuses == [207]
    first, second = sent_ids(stage)
    answer = told(connection)
    assert (answer["accepted"], answer["refused"]) == (1, 2)
    assert answer["events"][0] == {"status": 200, "id": first, "partition": 3, "offset": 0}
    assert answer["events"][1] == {
        "status": 400,
        "error": "buffer.badRequest",
        "message": 'The CloudEvent has the specversion "2"; supported is "1.0".',
    }
    assert {**answer["events"][2], "message": ""} == {
        "status": 503,
        "error": "buffer.kafkaUnavailable",
        "message": "",
        "id": second,
    }
    assert b"retry-after: 2\r\n" in connection.transport.written
    assert b"preference-applied: return=representation\r\n" in connection.transport.written
    assert (stage.lane.counters.events, stage.lane.inflight_bytes) == (1, 0)


async def test_all_events_taken_for_themselves_are_200(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"1\n2\n", LINES, EACH))

    stage.publisher.report()

    assert connection.statuses == [200]
    assert (told(connection)["accepted"], told(connection)["refused"]) == (2, 0)
    assert b"retry-after" not in connection.transport.written


@pytest.mark.parametrize("error", [BufferError("full"), KafkaException(FAILED)])
async def test_event_that_cannot_be_queued_harms_no_other_of_its_kind(stage: Stage, error: Exception) -> None:
    stage.publisher.fails_at = (1, error)
    connection = stage.connect()

    connection.feed(post(b"1\n2\n", LINES, EACH))
    stage.publisher.report()

    assert connection.statuses == [207]
    assert [event["status"] for event in told(connection)["events"]] == [200, 503]
    assert stage.lane.inflight_bytes == 0


async def test_no_event_taken_is_no_success(stage: Stage) -> None:
    stage.publisher.fails_at = (0, BufferError("full"))
    unsent, lost, broken = stage.connect(), stage.connect(), stage.connect()

    unsent.feed(post(b"1\n2\n", LINES, EACH))
    stage.lane.settle()
    stage.publisher.fails_at = None
    lost.feed(post(b"1\n2\n", LINES, EACH))
    stage.publisher.report(FAILED)
    broken.feed(post(b"[{}, {}]", CLOUDEVENTS, EACH))

    assert [error_of(one)[:2] for one in (unsent, lost, broken)] == [
        (503, "buffer.overloaded"),
        (503, "buffer.kafkaUnavailable"),
        (400, "buffer.badRequest"),
    ]
    assert stage.lane.inflight_bytes == 0


async def test_events_that_kafka_has_by_the_deadline_are_told(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"1\n2\n", LINES, EACH))
    stage.publisher.report(count=1)

    connection.protocol.sweep(time.monotonic() + 11)
    stage.publisher.report()

    assert connection.statuses == [207]
    assert [event["status"] for event in told(connection)["events"]] == [200, 503]
    assert stage.lane.inflight_bytes == 0


async def test_events_are_not_taken_when_their_receiver_ended_before_kafka_had_them(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"1\n2\n", LINES, EACH))

    stage.lane.directory.take("receiver:1/flights", None)
    stage.publisher.report()

    assert error_of(connection)[:2] == (404, "buffer.receiverNotFound")


async def test_batch_without_an_event_has_an_empty_result(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(b"[]", "Content-Type: application/json", EACH))

    assert told(connection) == {"accepted": 0, "refused": 0, "events": []}


async def test_long_batch_of_cloudevents_leaves_turns_to_other_requests(stage: Stage) -> None:
    batch = json.dumps([cloudevent(str(number)) for number in range(3 * EVENTS_PER_TURN)]).encode()
    long, short = stage.connect(), stage.connect()

    long.feed(post(batch, CLOUDEVENTS))
    short.feed(post(b"short"))

    assert stage.publisher.values == [b"short"]
    await turns(40)
    stage.publisher.report()
    assert (long.statuses, short.statuses, stage.lane.counters.events) == ([200], [200], 3 * EVENTS_PER_TURN + 1)
