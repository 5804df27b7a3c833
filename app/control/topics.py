"""What control asks of Kafka about topics: make a receiver's, see where it ends, delete it."""

from __future__ import annotations

import asyncio
import logging
import time

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from app.control.records import TopicFacts
from app.kafka.client import learn_leaders
from app.kafka.plan import describe_topics, ensure_topics, receiver_topic
from app.model.errors import KafkaUnavailable
from app.settings import Settings

_SECONDS = 30.0
_PAUSE_SECONDS = 0.05
_REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_DELETION_DISABLED,
    }
)
_log = logging.getLogger(__name__)


async def ensure_receiver_topic(admin: AdminClient, settings: Settings, name: str) -> TopicFacts:
    """Make the topic if it is missing; its id and where its partitions end now.

    Raises ConfigurationError when topics are the operators' to make and it is missing, KafkaUnavailable.
    """
    await asyncio.to_thread(ensure_topics, admin, settings, [receiver_topic(settings, name)])
    topic_id, partitions = await _describe(admin, name)
    ends = await asyncio.to_thread(_ends, admin, name, partitions)
    return TopicFacts(name, topic_id, ends)


async def find_topic(admin: AdminClient, name: str) -> TopicFacts | None:
    """The topic as it is now; None when there is none with this name. Raises KafkaUnavailable."""
    found = await asyncio.to_thread(describe_topics, admin, [name])
    if name not in found:
        return None
    topic_id, partitions = found[name]
    return TopicFacts(name, topic_id, await asyncio.to_thread(_ends, admin, name, partitions))


async def delete_topic(admin: AdminClient, name: str, topic_id: str) -> None:
    """Delete the topic with this id and all that is in it; one that is gone counts as deleted. Raises KafkaUnavailable.

    Kafka's client deletes by name only, so it is looked just before whether the name still stands for this topic: a
    process that was frozen on the way must not delete the topic of a receiver that was made again meanwhile. Where
    Kafka does not let us delete it, the log says that a person must, and nothing waits for that.
    """
    if not await _is_there(admin, name, topic_id):
        return
    (future,) = admin.delete_topics([name], request_timeout=_SECONDS).values()
    try:
        await asyncio.to_thread(future.result, _SECONDS)
    except KafkaException as error:
        reason = error.args[0]
        if reason.code() in _REFUSALS:
            _log.warning("delete topic %s by hand, Kafka does not let us: %s", name, reason.str())
            return
        if reason.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaUnavailable(f"Kafka does not delete topic {name}: {reason.str()}") from error
    deadline = time.monotonic() + _SECONDS
    while await _is_there(admin, name, topic_id):  # brokers learn of it a moment later; a new receiver must not meet it
        if time.monotonic() > deadline:
            raise KafkaUnavailable(f"Kafka still shows topic {name} {_SECONDS:g} s after its deletion.")
        await asyncio.sleep(_PAUSE_SECONDS)


async def count_partitions(admin: AdminClient, name: str) -> int:
    """Partitions of a topic that was just ensured. Raises KafkaUnavailable."""
    return (await _describe(admin, name))[1]


async def _is_there(admin: AdminClient, name: str, topic_id: str) -> bool:
    """Whether the name stands for this topic."""
    return (await asyncio.to_thread(describe_topics, admin, [name])).get(name, ("", 0))[0] == topic_id


async def _describe(admin: AdminClient, name: str) -> tuple[str, int]:
    """A topic just made is not on all brokers at once."""
    deadline = time.monotonic() + _SECONDS
    while True:
        found = await asyncio.to_thread(describe_topics, admin, [name])
        if name in found:
            return found[name]
        if time.monotonic() > deadline:
            raise KafkaUnavailable(f"Kafka does not show topic {name} within {_SECONDS:g} s of its creation.")
        await asyncio.sleep(_PAUSE_SECONDS)


def _ends(admin: AdminClient, name: str, partitions: int) -> tuple[int, ...]:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the package has no types here
    wanted = {TopicPartition(name, number): latest for number in range(partitions)}
    deadline = time.monotonic() + _SECONDS
    while True:
        futures = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_SECONDS)
        try:
            found = {partition.partition: future.result(_SECONDS).offset for partition, future in futures.items()}
            return tuple(int(found[number]) for number in range(partitions))
        except KafkaException as error:
            if time.monotonic() > deadline:  # a topic just made has no leader yet, which librdkafka calls final
                raise KafkaUnavailable(f"Kafka does not say where {name} ends: {error.args[0].str()}") from error
            learn_leaders(admin, name)
            time.sleep(_PAUSE_SECONDS)
