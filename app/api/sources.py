"""Which topics of others a receiver may read: those that the operator names and no other receiver reads or may want.

Pure. Asked by the API before it sends a command, and by control when it carries one out.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from app.api.limits import Limits
from app.model.catalog import Catalog
from app.model.errors import BadRequest, Conflict, clipped
from app.model.patterns import lies_within, matches, overlap
from app.model.receiver import Receiver, is_bound


def check_source_topic(catalog: Catalog, limits: Limits, project_id: str, receiver_id: str, topic: str) -> None:
    """A topic is read by one receiver, of a project that may read it, and is none of ours. Raises BadRequest or
    Conflict.
    """
    if not is_source(limits, project_id, receiver_id, topic):
        raise BadRequest(
            f'Topic "{clipped(topic)}" is none that a receiver of this project may be bound to; the operator names '
            "these by STREAMS_SOURCE_TOPICS."
        )
    check_topic_is_free(catalog, project_id, receiver_id, topic)


def is_source(limits: Limits, project_id: str, receiver_id: str, topic: str) -> bool:
    """Whether the topic is none of ours, and the operator lets a receiver of the project be bound to it."""
    is_ours = topic.startswith(f"{limits.topic_prefix}.") or not is_bound(topic, project_id, receiver_id)
    return not is_ours and any(fnmatchcase(topic, pattern) for pattern in limits.sources_of(project_id))


def check_source_pattern(catalog: Catalog, limits: Limits, project_id: str, pattern: str) -> None:
    """A pattern lies within what the project may read, and no other receiver may ever want what it means. Raises
    BadRequest or Conflict.
    """
    if not lies_within(pattern, limits.sources_of(project_id)):
        raise BadRequest(
            f'The pattern "{clipped(pattern)}" means topics that receivers of this project may not be bound to; the '
            "operator names these by STREAMS_SOURCE_TOPICS, and the pattern must lie within one that is named there."
        )
    for other in catalog.receivers.values():
        if other.is_bound and overlap(pattern, other.pattern or other.topic):
            raise _in_use(f'Topics that "{pattern}" means may be', other, project_id)
    for draining in catalog.draining.values():
        for drained in catalog.topics_drained(draining):
            if matches(pattern, drained.topic):
                raise _on_its_way(drained.topic)


def meant_topics(limits: Limits, project_id: str, receiver_id: str, pattern: str, topics: Iterable[str]) -> list[str]:
    """Which of these topics a receiver with this pattern may read, by name."""
    return sorted(t for t in topics if matches(pattern, t) and is_source(limits, project_id, receiver_id, t))


def is_free(catalog: Catalog, topic: str) -> bool:
    """Whether nobody reads the topic, is about to, or has read it and is not done."""
    return (
        topic not in catalog.receivers_by_topic and topic not in catalog.bindings and not catalog.draining_from(topic)
    )


def check_topic_is_free(catalog: Catalog, project_id: str, receiver_id: str, topic: str) -> None:
    """Whether no other receiver reads it, or has read it and is not done. Raises Conflict."""
    patterns = (r for r in catalog.receivers.values() if r.pattern is not None and matches(r.pattern, topic))
    other = catalog.receivers_by_topic.get(topic) or next(patterns, None)
    if other is not None and (other.project_id, other.receiver_id) != (project_id, receiver_id):
        raise _in_use(f'Topic "{topic}" is', other, project_id)
    if catalog.draining_from(topic):
        raise _on_its_way(topic)


def _in_use(what: str, other: Receiver, project_id: str) -> Conflict:
    words = f'the receiver "{other.receiver_id}"' if other.project_id == project_id else "another project"
    return Conflict(f"{what} read by {words} already.", "buffer.topicInUse")


def _on_its_way(topic: str) -> Conflict:
    return Conflict(
        f'What came in topic "{topic}" for a deleted receiver is still on its way; try again when it is in its tables.',
        "buffer.topicInUse",
    )
