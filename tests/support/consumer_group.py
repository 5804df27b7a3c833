"""What tests ask of consumer groups, and do to them: take out members whose process they have killed."""

from __future__ import annotations

import socket
import struct

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition

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


def committed_offsets(settings: Settings, group: str) -> dict[tuple[str, int], int]:
    """What a group has committed, by topic and partition; nothing while Kafka does not know the group."""
    admin = connect_admin(settings)
    # librdkafka (2.16.0) ends the process when the second question meets a coordinator that is not ready (its issue
    # 5040), as that of a group on a fresh broker is. A coordinator that knows the group is ready.
    try:
        state = admin.describe_consumer_groups([group])[group].result(TIMEOUT_SECONDS).state
    except KafkaException:
        return {}
    if state is ConsumerGroupState.DEAD:
        return {}
    asked = ConsumerGroupTopicPartitions(group)
    found = admin.list_consumer_group_offsets([asked])[group].result(TIMEOUT_SECONDS)
    places: list[TopicPartition] = found.topic_partitions or []
    return {(one.topic, one.partition): one.offset for one in places if one.offset >= 0}


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
