"""What tests do to consumer groups: take out members whose process they have killed."""

from __future__ import annotations

import socket
import struct

from app.kafka.client import connect_admin
from app.settings import Settings

_LEAVE_GROUP = 13
TIMEOUT_SECONDS = 60


def expel_members(settings: Settings, group: str) -> None:
    """Take all members out of a group, as the broker does when their sessions have run out: nobody waits for the dead.

    Tests of the sessions themselves do without it: `kafka/faust` and `e2e`.
    """
    admin = connect_admin(settings)  # its answers come only as long as it lives
    for member in admin.describe_consumer_groups([group])[group].result(TIMEOUT_SECONDS).members:
        _leave(settings.kafka_bootstrap_servers, group, member.member_id)


def _leave(broker: str, group: str, member_id: str) -> None:
    """LeaveGroup version 1 in the member's name; no client that we have offers it. AssertionError when refused."""
    body = struct.pack(">hhih", _LEAVE_GROUP, 1, 0, -1) + _text(group) + _text(member_id)
    host, port = broker.rsplit(":", 1)
    with (
        socket.create_connection((host, int(port)), TIMEOUT_SECONDS) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", answer.read(4))
        _correlation_id, _throttled_ms, error = struct.unpack(">iih", answer.read(size))
    assert error == 0, f"member {member_id} is not let go: error {error}"


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">h", len(data)) + data
