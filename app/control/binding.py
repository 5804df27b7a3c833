"""Binding receivers to topics that are somebody else's, each topic to one receiver.

Projects' commands are carried out by several processes at the same time. What decides is the control log, which has one
order: who wants a topic writes down a claim (`Binding`) and waits until its view has it; then the view also has every
claim before it, and the first one counts. Who came later takes the own claim back. So a receiver is made only when all
its topics are its own, and no topic is ever read by two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.api.drafts import SourceDraft
from app.api.sources import check_source_pattern, check_topic_is_free, meant_topics
from app.control.claims import new_claims, unused_claims
from app.control.patience import StepFailed
from app.control.records import ManyTopics, TopicFacts, control_records
from app.control.run import Run, now_ms
from app.control.topics import find_source, topic_names
from app.kafka.transaction import Record
from app.model.binding import SourceTopic
from app.model.errors import BadRequest, Conflict
from app.model.ids import new_uid
from app.model.receiver import Receiver

Topics = TopicFacts | ManyTopics


async def find_sources(run: Run, source: SourceDraft) -> Topics:
    """The topics of a source that are there, and where to begin in each. Raises StepFailed without any, Conflict when
    one is in use, BadRequest when there are too many, KafkaUnavailable.
    """
    task, catalog, limits = run.task, run.catalog, run.limits
    if source.pattern is None:
        check_topic_is_free(catalog, task.project_id, task.receiver_id, source.topic)
        topic = await _topic(run, source.topic, source.from_ms)
        _check_partitions(run, source.topic, [topic])
        return topic
    check_source_pattern(catalog, limits, task.project_id, source.pattern)
    there = await topic_names(run.around.admin)
    names = meant_topics(limits, task.project_id, task.receiver_id, source.pattern, there)
    if not names:
        raise StepFailed(f'Kafka has no topic that "{source.pattern}" means.', 404, "buffer.topicNotFound")
    most = limits.max_source_partitions
    if len(names) > most:  # each has a partition at least
        raise BadRequest(f'"{source.pattern}" means {len(names)} topics; a receiver reads {most} partitions at most.')
    for name in names:
        check_topic_is_free(catalog, task.project_id, task.receiver_id, name)
    found = await asyncio.gather(*(_topic(run, name, source.from_ms) for name in names))
    _check_partitions(run, source.pattern, found)
    return ManyTopics(tuple(found))


async def bound_topics(run: Run, receiver: Receiver) -> Topics:
    """The topics that a receiver reads, with their ends; of a pattern those that are there. Raises StepFailed when its
    only one is not, KafkaUnavailable.
    """
    if receiver.pattern is None:
        return await _topic(run, receiver.topic, None)
    names = [topic.topic for topic in run.catalog.topics_of(receiver)]
    found = await asyncio.gather(*(find_source(run.around.admin, name, None) for name in names))
    return ManyTopics(tuple(topic for topic in found if topic is not None))


def _check_partitions(run: Run, source: str, topics: Sequence[TopicFacts]) -> None:
    """Raises BadRequest when they are more than an export's record has room for."""
    count, most = sum(len(topic.ends) for topic in topics), run.limits.max_source_partitions
    if count > most:
        raise BadRequest(f'"{source}" has {count} partitions in all; a receiver reads {most} at most.')


async def _topic(run: Run, name: str, from_ms: int | None) -> TopicFacts:
    found = await find_source(run.around.admin, name, from_ms)
    if found is None:
        raise StepFailed(f'Kafka has no topic "{name}".', 404, "buffer.topicNotFound")
    return found


async def claim(run: Run, topics: Topics) -> str:
    """The uid of the receiver that is to be made, once the topics are its own. Raises Conflict when one is not.

    What an earlier run claimed and this one does not find goes: a topic that is not shown, or was made anew.
    """
    wanted = _each(topics)
    mine = unused_claims(run.catalog, run.task)  # of a run of this task that did not come to its end
    uid = mine[0].receiver_uid if mine else new_uid()
    sources = [SourceTopic(facts.name, facts.topic_id, len(facts.ends)) for facts in wanted]
    found = {(source.topic, source.topic_id) for source in sources}

    def records() -> list[Record]:
        place = uid, run.task.project_id, run.task.receiver_id
        stale = [c for c in unused_claims(run.catalog, run.task) if (c.topic, c.topic_id) not in found]
        return control_records(run.log.names, new_claims(run.catalog, place, sources, now_ms(), stale), stale)

    await run.log.transact(records)
    for source in sources:
        first = run.catalog.binding_of(source.topic)
        if first is None or first.receiver_uid != uid:
            raise Conflict(f'Topic "{source.topic}" is read by another receiver already.', "buffer.topicInUse")
    return uid


def check_are_free(run: Run, topics: Topics) -> None:
    """Claimed topics once more, in the transaction that makes the receiver: a control process of a version without
    claims may have bound one to a receiver meanwhile. Raises Conflict.
    """
    for facts in _each(topics):
        check_topic_is_free(run.catalog, run.task.project_id, run.task.receiver_id, facts.name)


def _each(topics: Topics) -> tuple[TopicFacts, ...]:
    return topics.topics if isinstance(topics, ManyTopics) else (topics,)
