"""What control asks of Kafka about topics: make a receiver's, see where it ends, delete it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # re-exported without saying so

from app.control.records import TopicFacts
from app.kafka.client import learn_leaders
from app.kafka.gone import is_surely_gone
from app.kafka.plan import describe_topics, ensure_topics, receiver_topic
from app.model.binding import SourceTopic
from app.model.errors import KafkaUnavailable
from app.model.receiver import SourceOffset
from app.model.replay import OffsetRange
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


async def find_source(admin: AdminClient, name: str, from_ms: int | None) -> TopicFacts | None:
    """A topic that is somebody else's, with the places at which reading begins instead of its ends: the first records
    at or after `from_ms`, or the ends where that is None. Raises KafkaUnavailable.
    """
    if from_ms is None:
        return await find_topic(admin, name)
    spans = await find_spans(admin, name, from_ms, None)
    if spans is None:
        return None
    return TopicFacts(name, spans.topic_id, tuple(part.first if from_ms else 0 for part in spans.ranges))


async def topic_names(admin: AdminClient) -> list[str]:
    """All topics that we may know of. Raises KafkaUnavailable."""
    try:
        return list((await asyncio.to_thread(admin.list_topics, timeout=_SECONDS)).topics)
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka does not list its topics: {error.args[0].str()}") from error


async def topics_end(
    admin: AdminClient, topics: Sequence[SourceTopic], named: Sequence[SourceOffset] = ()
) -> tuple[SourceOffset, ...] | None:
    """Where these topics end now, without those that are gone for good; None when all are. `named` are places in them
    from before. Raises KafkaUnavailable as long as it is not sure of each.
    """

    def partitions(topic: SourceTopic) -> int:
        return max([topic.partitions, *(place.partition + 1 for place in named if place.topic_id == topic.topic_id)])

    looks = [ends_or_gone(admin, topic.topic, topic.topic_id, partitions(topic)) for topic in topics]
    answers = await asyncio.gather(*looks, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    found = [places for places in answers if isinstance(places, tuple)]
    return tuple(place for places in found for place in places) if found else None


async def ends_or_gone(
    admin: AdminClient, name: str, topic_id: str, partitions: int = 0
) -> tuple[SourceOffset, ...] | None:
    """Where the topic with this id ends now; None when it is gone for good (see `app.kafka.gone`).

    The one place that may say so: an end that is written down of a topic that is only not known at the moment loses
    events or has them twice. `partitions` are those that it is known to have. Raises KafkaUnavailable as long as
    neither is sure.
    """
    found: TopicFacts | None = None

    async def look() -> str | None:
        nonlocal found
        found = await find_topic(admin, name)
        return None if found is None else found.topic_id

    if await is_surely_gone(admin, name, topic_id, look):
        return None
    assert found is not None
    if len(found.ends) < partitions:
        raise KafkaUnavailable(f"Kafka shows {len(found.ends)} partitions of topic {name}, which has {partitions}.")
    return found.starts


@dataclass(frozen=True)
class Spans:
    """The offsets of a range of time, of each partition. `gone` says, in words, of which the first ones were deleted by
    retention; "" when none were.
    """

    topic_id: str
    ranges: tuple[OffsetRange, ...]
    gone: str


async def find_spans(admin: AdminClient, name: str, from_ms: int, to_ms: int | None) -> Spans | None:
    """Records stamped at or after `from_ms` and before `to_ms` (None: all that come after), as far as they are there
    now; None without the topic.

    A record that comes later is not among them, whatever its time. Raises KafkaUnavailable.
    """
    facts = await find_topic(admin, name)
    if facts is None:
        return None

    count = len(facts.ends)

    def ask(spec: OffsetSpec) -> tuple[int, ...]:
        return _offsets(admin, name, count, spec)

    earliest = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the package has no types here
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the package has no types here
    specs = _at(from_ms), latest if to_ms is None else _at(to_ms), earliest
    firsts, lasts, lows = await asyncio.gather(*(asyncio.to_thread(ask, spec) for spec in specs))
    ranges, gone = [], []
    for number, end in enumerate(facts.ends):
        first = end if firsts[number] < 0 else firsts[number]
        last = end if lasts[number] < 0 else min(end, lasts[number])
        ranges.append(OffsetRange(number, first, max(first, last)))
        if lows[number] > 0 and first == lows[number]:
            gone.append(f"partition {number} before offset {first}")
    return Spans(facts.topic_id, tuple(ranges), ", ".join(gone))


def _at(time_ms: int) -> OffsetSpec:
    return cast(OffsetSpec, OffsetSpec.for_timestamp(max(0, time_ms)))


async def delete_topic(admin: AdminClient, name: str, topic_id: str) -> None:
    """Delete the topic with this id and all that is in it; one that is gone counts as deleted. Raises KafkaUnavailable.

    Kafka's client deletes by name only, so it is looked just before whether the name still stands for this topic: a
    process that was frozen on the way must not delete the topic of a receiver that was made again meanwhile. Where
    Kafka does not let us delete it, the log says that a person must, and nothing waits for that.
    """
    if await ends_or_gone(admin, name, topic_id) is None:
        return
    (future,) = admin.delete_topics([name], request_timeout=_SECONDS).values()
    try:
        await asyncio.to_thread(future.result, _SECONDS)
    except TimeoutError as error:
        raise KafkaUnavailable(f"Kafka does not delete topic {name} within {_SECONDS:g} s.") from error
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
    return _offsets(admin, name, partitions, latest)


def _offsets(admin: AdminClient, name: str, partitions: int, spec: OffsetSpec) -> tuple[int, ...]:
    """What this means in each partition; below 0 where nothing is as new as a time."""
    wanted = {TopicPartition(name, number): spec for number in range(partitions)}
    deadline = time.monotonic() + _SECONDS
    while True:
        futures = admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_SECONDS)
        try:
            found = {partition.partition: future.result(_SECONDS).offset for partition, future in futures.items()}
            return tuple(int(found[number]) for number in range(partitions))
        except TimeoutError as error:
            raise KafkaUnavailable(f"Kafka does not say offsets of {name} within {_SECONDS:g} s.") from error
        except KafkaException as error:
            if time.monotonic() > deadline:  # a topic just made has no leader yet, which librdkafka calls final
                raise KafkaUnavailable(f"Kafka does not say offsets of {name}: {error.args[0].str()}") from error
            learn_leaders(admin, name)
            time.sleep(_PAUSE_SECONDS)
