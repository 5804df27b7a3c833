"""HTTP/1.1 as senders speak it, over real sockets."""

from __future__ import annotations

import socket
import struct

from gateway_process import DEADLINE_SECONDS, GatewayProcess, Target, wait_for


def connect(gateway: GatewayProcess) -> socket.socket:
    return socket.create_connection(gateway.address, timeout=DEADLINE_SECONDS)


def read_answers(connection: socket.socket, count: int) -> list[bytes]:
    """So many whole answers: each with head and body."""
    data, answers = b"", []
    while len(answers) < count:
        head, separator, rest = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        if separator and len(rest) >= length:
            answers.append(data[: len(head) + 4 + length])
            data = data[len(head) + 4 + length :]
            continue
        received = connection.recv(65536)
        assert received, f"the connection ended after {answers} and {data!r}"
        data += received
    assert not data
    return answers


def statuses(answers: list[bytes]) -> list[int]:
    return [int(answer[9:12]) for answer in answers]


def at_end(connection: socket.socket) -> bool:
    """Whether the other side has ended the connection properly."""
    return connection.recv(1) == b""


def request(target: Target, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    head = [f"POST {target.path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def test_requests_on_one_connection(gateway: GatewayProcess, target: Target) -> None:
    with connect(gateway) as connection:
        for number in range(3):
            connection.sendall(request(target, b"%d" % number))
            assert statuses(read_answers(connection, 1)) == [200]

    assert gateway.bodies(target) == [b"0", b"1", b"2"]


def test_pipelined_requests_of_lane_and_application(gateway: GatewayProcess, target: Target) -> None:
    health = b"GET /health-check HTTP/1.1\r\nHost: x\r\n\r\n"
    wrong = request(target, b"x").replace(target.path.encode(), target.path.encode()[:-1] + b"!")
    with connect(gateway) as connection:
        connection.sendall(request(target, b"1") + health + wrong + request(target, b"2") + health)
        answers = read_answers(connection, 5)

    assert statuses(answers) == [200, 200, 404, 200, 200]
    assert [answer.endswith(b"\r\n\r\nOK") for answer in answers] == [False, True, False, False, True]
    assert gateway.bodies(target) == [b"1", b"2"]


def test_sender_asks_before_it_sends_the_body(gateway: GatewayProcess, target: Target) -> None:
    whole = request(target, b"{}", "Expect: 100-continue")
    with connect(gateway) as connection:
        connection.sendall(whole[:-2])
        assert read_answers(connection, 1) == [b"HTTP/1.1 100 Continue\r\n\r\n"]
        connection.sendall(b"{}")
        assert statuses(read_answers(connection, 1)) == [200]


def test_chunked_body(gateway: GatewayProcess, target: Target) -> None:
    head = f"POST {target.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with connect(gateway) as connection:
        connection.sendall(head + b"3\r\nabc\r\n" + b"1\r\nd\r\n" * 100 + b"0\r\nX-Trailer: 1\r\n\r\n")
        assert statuses(read_answers(connection, 1)) == [200]

    assert gateway.bodies(target) == [b"abc" + b"d" * 100]


def test_http_1_0_and_connection_close_end_the_connection(gateway: GatewayProcess, target: Target) -> None:
    for whole in (request(target, b"1", version="1.0"), request(target, b"2", "Connection: close")):
        with connect(gateway) as connection:
            connection.sendall(whole)
            assert statuses(read_answers(connection, 1)) == [200]
            assert at_end(connection)


def test_sender_that_closed_its_half_gets_the_answer(gateway: GatewayProcess, target: Target) -> None:
    with connect(gateway) as connection:
        connection.sendall(request(target, b"{}"))
        connection.shutdown(socket.SHUT_WR)
        assert statuses(read_answers(connection, 1)) == [200]
        assert at_end(connection)


def test_sender_that_sends_too_much_can_read_the_answer(gateway: GatewayProcess, target: Target) -> None:
    head = f"POST {target.path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with connect(gateway) as connection:
        connection.sendall(head)
        for _ in range(40):
            connection.sendall(piece)
        assert statuses(read_answers(connection, 1)) == [413]
        assert at_end(connection)

    assert gateway.bodies(target) == []


def test_headers_above_the_limit(gateway: GatewayProcess, target: Target) -> None:
    with connect(gateway) as connection:
        connection.sendall(request(target, b"{}", "X-Long: " + "x" * 70_000))
        assert statuses(read_answers(connection, 1)) == [431]
        assert at_end(connection)


def test_body_that_never_ends(gateway: GatewayProcess, target: Target) -> None:
    with connect(gateway) as connection:
        connection.sendall(request(target, b"x" * 1000)[:-1])
        assert statuses(read_answers(connection, 1)) == [408]
        assert at_end(connection)

    wait_for(lambda: gateway.metric("streams_gateway_inflight_bytes") == 0, "bytes in flight given back")


def test_sender_that_resets_the_connection_harms_nobody(gateway: GatewayProcess, target: Target) -> None:
    abandoned = gateway.metric("streams_gateway_abandoned_total")
    for _ in range(20):
        connection = connect(gateway)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(request(target, b"x" * 1000)[:-1])
        connection.close()

    wait_for(lambda: gateway.metric("streams_gateway_abandoned_total") == abandoned + 20, "20 abandoned requests")
    wait_for(lambda: gateway.metric("streams_gateway_inflight_bytes") == 0, "bytes in flight given back")
    with connect(gateway) as connection:
        connection.sendall(request(target, b"{}"))
        assert statuses(read_answers(connection, 1)) == [200]


def test_offer_of_http2_loses_no_body(gateway: GatewayProcess, target: Target) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")
    with connect(gateway) as connection:
        connection.sendall(request(target, b'{"a":1}', *offer))
        assert statuses(read_answers(connection, 1)) == [200]

    assert gateway.bodies(target) == [b'{"a":1}']
