"""One connection: order of answers, deadlines, limits on headers, and how it ends."""

from __future__ import annotations

import asyncio
import time

import pytest

from .lane_stage import PATH, Connection, Stage, post

ASGI = b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n"


async def answered(connection: Connection, count: int) -> None:
    """Wait until so many answers are written."""
    async with asyncio.timeout(60):
        while len(connection.statuses) < count:  # noqa: ASYNC110 - written by uvicorn's task, which sets no event
            await asyncio.sleep(0)


async def test_requests_on_a_connection_follow_each_other(stage: Stage) -> None:
    connection = stage.connect()

    for number in range(3):
        connection.feed(post(b"%d" % number))
        stage.publisher.report()

    assert stage.publisher.values == [b"0", b"1", b"2"]
    assert connection.statuses == [200, 200, 200]


async def test_answers_to_pipelined_requests_keep_their_order(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(b"1") + ASGI + post(b"2") + ASGI + post(b"[3", "Content-Type: application/json") + post(b"4"))

    assert stage.publisher.values == [b"1"], "a request is taken when those before it are answered"
    assert not connection.transport.reading
    stage.publisher.report()
    await answered(connection, 2)
    stage.publisher.report()
    await answered(connection, 5)
    stage.publisher.report()
    assert connection.statuses == [200, 404, 200, 404, 400, 200]
    assert connection.transport.reading
    assert stage.lane.inflight_bytes == 0


async def test_thousands_of_pipelined_refusals_are_answered(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post(b"1"))

    connection.feed(post(b"[", "Content-Type: application/json") * 3000)
    stage.publisher.report()

    assert connection.statuses == [200] + [400] * 3000


async def test_request_whose_rest_comes_after_its_turn(stage: Stage) -> None:
    connection = stage.connect()
    second = post(b"second")
    connection.feed(post(b"first") + second[:-3])
    assert not connection.transport.reading

    stage.publisher.report()
    assert connection.transport.reading
    connection.feed(second[-3:])
    stage.publisher.report()

    assert stage.publisher.values == [b"first", b"second"]
    assert connection.statuses == [200, 200]


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(b"{}", "Connection: close"),
        post().replace(b"HTTP/1.1", b"HTTP/1.0"),
        post(b"{}", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
async def test_connection_closes_after_the_answer_when_it_must(stage: Stage, request_bytes: bytes) -> None:
    connection = stage.connect()
    connection.feed(request_bytes)
    assert not connection.transport.is_closing()

    stage.publisher.report()

    assert connection.statuses == [200]
    assert b"connection: close\r\n" in connection.transport.written
    assert connection.transport.is_closing()


async def test_what_follows_a_request_that_closes_is_not_taken(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(b"1", "Connection: close") + post(b"2"))
    stage.publisher.report()

    assert stage.publisher.values == [b"1"]
    assert connection.statuses == [200]
    assert stage.lane.inflight_bytes == 0


async def test_sender_that_closes_its_half_gets_the_answer(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())

    assert connection.protocol.eof_received() is True
    stage.publisher.report()

    assert connection.statuses == [200]
    assert connection.transport.is_closing()


async def test_sender_that_ends_within_a_request_is_not_waited_for(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post()[:-1])

    assert connection.protocol.eof_received() is False


async def test_sender_that_leaves_gives_its_bytes_back(stage: Stage) -> None:
    reading, waiting, pipelining = stage.connect(), stage.connect(), stage.connect()
    reading.feed(post(b"x" * 1000)[:-1])
    waiting.feed(post(b"x" * 1000))
    pipelining.feed(post(b"x" * 1000) * 3)

    for connection in (reading, waiting, pipelining):
        connection.transport.close()
    assert stage.lane.inflight_bytes == 2000, "Kafka has these"
    stage.publisher.report()

    assert stage.lane.inflight_bytes == 0
    assert stage.publisher.values == [b"x" * 1000] * 2


@pytest.mark.parametrize("cut", [5, 60, -1])
async def test_request_that_never_ends_times_out(stage: Stage, cut: int) -> None:
    connection = stage.connect()
    connection.feed(post()[:cut])

    connection.protocol.sweep(time.monotonic() + 29)
    assert connection.statuses == []
    connection.protocol.sweep(time.monotonic() + 31)

    assert connection.statuses == [408]
    assert connection.transport.ended
    assert stage.lane.inflight_bytes == 0
    connection.protocol.sweep(time.monotonic() + 40)
    assert connection.transport.is_closing()


async def test_body_for_the_api_that_never_ends_times_out(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(b"POST /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")

    connection.protocol.sweep(time.monotonic() + 31)

    assert connection.statuses == [408]
    await asyncio.sleep(0)
    assert connection.statuses == [408], "the application's answer comes too late"


async def test_idle_connection_is_closed_and_blank_lines_do_not_keep_it(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(post())
    stage.publisher.report()
    connection.feed(b"\r\n")

    connection.protocol.sweep(time.monotonic() + 74)
    assert not connection.transport.is_closing()
    connection.protocol.sweep(time.monotonic() + 76)

    assert connection.transport.is_closing()


@pytest.mark.parametrize(
    "head",
    [
        post(b"{}", "X-Long: " + "x" * 4096),
        post(b"{}", *[f"X-{n}: 1" for n in range(20)]),
        ASGI[:-2] + b"X-Long: " + b"x" * 4096 + b"\r\n\r\n",
        post(path=PATH + "?" + "x" * 4096),
    ],
)
async def test_headers_above_the_limits_are_refused(stage: Stage, head: bytes) -> None:
    connection = stage.connect()

    connection.feed(head)

    assert connection.statuses == [431]
    assert b"the maximum is 20 headers of 4KB together" in connection.transport.written
    assert connection.transport.ended
    assert stage.publisher.sent == []


async def test_header_that_never_ends_is_not_gathered(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(b"GET /elsewhere HTTP/1.1\r\nX-Long: ")

    for _ in range(5):
        connection.feed(b"x" * 1000)

    assert connection.statuses == [431]


async def test_trailer_that_never_ends_is_not_gathered(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Long: ".encode())

    for _ in range(33):
        connection.feed(b"x" * 0x40000)

    assert connection.statuses == [413]


async def test_chunks_and_trailers(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    for piece in (b"1\r\n{\r\n", b"1;ext=1\r\n}\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"):
        connection.feed(piece)
    stage.publisher.report()

    assert stage.publisher.values == [b"{}"]
    assert [name for name, _ in stage.publisher.sent[0][2][2:]] == ["Transfer-Encoding"]
    assert connection.statuses == [200]


async def test_request_that_offers_http2_is_read_as_it_is(stage: Stage) -> None:
    """Java's HttpClient offers h2c with its first request."""
    connection = stage.connect()
    offer = post(b'{"a":1}', "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")

    connection.feed(offer[:-3])
    connection.feed(offer[-3:])
    stage.publisher.report()
    connection.feed(post(b"next"))
    stage.publisher.report()

    assert stage.publisher.values == [b'{"a":1}', b"next"]
    assert connection.statuses == [200, 200]


async def test_whole_url_in_the_request_line_is_understood(stage: Stage) -> None:
    connection = stage.connect()

    connection.feed(post(path="http://gateway:8000" + PATH + "?debug=true"))
    stage.publisher.report()

    assert connection.statuses == [200]


@pytest.mark.parametrize(
    "garbage", [b"nonsense\r\n\r\n", b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"POST \xff HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_request_is_refused_after_the_answers_before_it(stage: Stage, garbage: bytes) -> None:
    alone, behind = stage.connect(), stage.connect()

    alone.feed(garbage)
    behind.feed(post(b"1") + garbage)

    assert alone.statuses == [400]
    assert alone.transport.ended
    assert behind.statuses == []
    stage.publisher.report()
    assert behind.statuses == [200]
    assert behind.transport.ended or behind.transport.is_closing()


async def test_broken_chunk_is_refused_and_its_bytes_given_back(stage: Stage) -> None:
    connection = stage.connect()
    connection.feed(f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n".encode())

    connection.feed(b"zz\r\n")

    assert connection.statuses == [400]
    assert stage.lane.inflight_bytes == 0
    assert stage.publisher.sent == []


async def test_shutdown_waits_for_the_answer_under_way(stage: Stage) -> None:
    idle, busy = stage.connect(), stage.connect()
    busy.feed(post())

    idle.protocol.shutdown()
    busy.protocol.shutdown()

    assert idle.transport.is_closing()
    assert not busy.transport.is_closing()
    stage.publisher.report()
    assert busy.statuses == [200]
    assert busy.transport.is_closing()
