"""What the catalog allows: who exists, who is busy, how many there may be, who may share a table. Of replays it is in
`replay_rules`.

Pure. The API asks before it sends a command, control asks again before it carries one out, since two gateways may
have asked at the same time. Source: Buffer API, limits and errors; delivery protocol, rule 17.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.api.drafts import ExportChange, ExportDraft, ReceiverDraft
from app.model.catalog import Catalog
from app.model.errors import BadRequest, Conflict, NotFound, clipped
from app.model.patterns import lies_within, matches, overlap
from app.model.receiver import Export, Mapping, Receiver, Suspension, entity_key, is_bound
from app.model.task import Task, TaskType
from app.settings import Settings

MAX_SUSPENSIONS = 100
"""Suspensions that an export's record keeps: those whose events may still be in Kafka."""
_HOUR_MS = 3_600_000
_SEGMENT_HOURS = 8 * 24
"""How much longer than its retention a record may be in Kafka, which deletes whole segments, and writes to one for up
to 7 days (`log.roll.hours`, by default); with a day to spare.
"""


@dataclass(frozen=True)
class Limits:
    """How many entities there may be."""

    max_receivers: int = 100
    max_exports: int = 20
    max_revisions: int = 100
    max_replays: int = 10
    topic_prefix: str = "streams"
    source_topics: tuple[str, ...] = ()
    """Which topics receivers may be bound to: "project:pattern"."""
    max_source_topics: int = 100
    """Which one receiver may be bound to."""
    suspensions_kept_ms: int = 14 * 24 * _HOUR_MS
    replays_kept_ms: int = 15 * 24 * _HOUR_MS
    """How long after its end a replay may have dead letters from before in Kafka."""

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            settings.max_receivers,
            settings.max_exports,
            settings.max_revisions,
            settings.max_replays,
            settings.topic_prefix,
            tuple(settings.source_topics),
            settings.max_source_topics,
            int(2 * settings.retention_hours * _HOUR_MS),
            int((settings.retention_hours + _SEGMENT_HOURS) * _HOUR_MS),
        )

    def sources_of(self, project_id: str) -> list[str]:
        """Patterns of the topics that receivers of the project may be bound to."""
        return [one.partition(":")[2] for one in self.source_topics if one.partition(":")[0] in (project_id, "*")]


def find_receiver(catalog: Catalog, project_id: str, receiver_id: str) -> Receiver:
    """Raises NotFound."""
    receiver = catalog.receivers.get(entity_key(project_id, receiver_id))
    if receiver is None:
        raise NotFound(f'Receiver "{receiver_id}" not found in the project.', "buffer.receiverNotFound")
    return receiver


def find_export(catalog: Catalog, project_id: str, receiver_id: str, export_id: str) -> Export:
    """Raises NotFound for the receiver or for the export."""
    receiver = find_receiver(catalog, project_id, receiver_id)
    export = catalog.exports.get(entity_key(project_id, receiver_id, export_id))
    if export is None or export.receiver_uid != receiver.uid:
        raise NotFound(f'Export "{export_id}" not found in the receiver.', "buffer.exportNotFound")
    return export


def check_idle(running: Iterable[Task], project_id: str, receiver_id: str, export_id: str | None = None) -> None:
    """Raise Conflict when a caller's task is under way on the entity, on what holds it or on what it holds."""
    for task in running:
        if (task.project_id, task.receiver_id) != (project_id, receiver_id) or task.type is TaskType.EXPORT_RETIRE:
            continue
        if export_id is None or task.export_id is None or task.export_id == export_id:
            what = f'export "{task.export_id}"' if task.export_id else f'receiver "{task.receiver_id}"'
            raise Conflict(
                f'Task "{task.type}" is already running on the {what}; wait for it to finish: "{task.task_id}".',
                "buffer.taskAlreadyRunning",
            )


def check_receiver_create(
    catalog: Catalog, running: Sequence[Task], limits: Limits, project_id: str, draft: ReceiverDraft
) -> None:
    """Raises Conflict."""
    check_idle(running, project_id, draft.receiver_id)
    if entity_key(project_id, draft.receiver_id) in catalog.receivers:
        raise Conflict(f'Receiver "{draft.receiver_id}" already exists in the project.', "buffer.receiverAlreadyExists")
    on_the_way = sum(t.type is TaskType.RECEIVER_CREATE and t.project_id == project_id for t in running)
    if len(catalog.receivers_of(project_id)) + on_the_way >= limits.max_receivers:
        raise Conflict(
            f"Receiver count limit reached in the project, the maximum is {limits.max_receivers}.",
            "buffer.receiverCountLimitReached",
        )
    if len(draft.exports) > limits.max_exports:
        raise _too_many_exports(limits)
    if draft.source is not None and draft.source.pattern is not None:
        check_source_pattern(catalog, limits, project_id, draft.source.pattern)
    elif draft.source is not None:
        check_source_topic(catalog, limits, project_id, draft.receiver_id, draft.source.topic)
    check_tables(catalog, project_id, [(export.export_id, export.mapping) for export in draft.exports])


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


def check_export_create(
    catalog: Catalog, running: Sequence[Task], limits: Limits, project_id: str, receiver_id: str, draft: ExportDraft
) -> None:
    """Raises NotFound or Conflict."""
    check_idle(running, project_id, receiver_id, draft.export_id)
    receiver = find_receiver(catalog, project_id, receiver_id)
    exports = catalog.exports_of(receiver)
    if any(export.export_id == draft.export_id for export in exports):
        raise Conflict(f'Export "{draft.export_id}" already exists in the receiver.', "buffer.exportAlreadyExists")
    on_the_way = sum(
        t.type is TaskType.EXPORT_CREATE and (t.project_id, t.receiver_id) == (project_id, receiver_id) for t in running
    )
    if len(exports) + on_the_way >= limits.max_exports:
        raise _too_many_exports(limits)
    check_tables(catalog, project_id, [(draft.export_id, draft.mapping)])


def check_export_update(
    catalog: Catalog,
    running: Sequence[Task],
    limits: Limits,
    project_id: str,
    receiver_id: str,
    export_id: str,
    change: ExportChange,
) -> None:
    """Raises NotFound or Conflict."""
    check_idle(running, project_id, receiver_id, export_id)
    export = find_export(catalog, project_id, receiver_id, export_id)
    mapping = change.new_mapping(export.revision.mapping)
    if mapping is None:
        return
    if export.suspension is not None and not mapping.incremental:
        raise _suspended(export, 'It can load its table as a whole ("incremental": false) once it is resumed.')
    if export.revision.number >= limits.max_revisions:
        raise Conflict(
            f"Mapping revision count limit reached in the export, the maximum is {limits.max_revisions}.",
            "buffer.mappingRevisionCountLimitReached",
        )
    check_tables(catalog, project_id, [(export_id, mapping)], apart_from=export.uid)


def check_export_pause(
    catalog: Catalog, running: Sequence[Task], limits: Limits, project_id: str, receiver_id: str, export_id: str
) -> None:
    """Raises NotFound, BadRequest or Conflict."""
    check_idle(running, project_id, receiver_id, export_id)
    export = find_export(catalog, project_id, receiver_id, export_id)
    if export.suspension is not None:
        raise _suspended(export)
    if not export.revision.mapping.incremental:
        raise BadRequest(
            f'Export "{export_id}" loads its table as a whole ("incremental": false): rows that waited would replace '
            "newer ones, so it cannot be suspended."
        )
    if not may_be_suspended(export, limits):
        raise Conflict(
            f'Export "{export_id}" was suspended {MAX_SUSPENSIONS} times lately, and must not be more often.',
            "buffer.suspensionCountLimitReached",
        )


def may_be_suspended(export: Export, limits: Limits) -> bool:
    """Rows that waited come later than others, so only an incremental load can have them."""
    too_often = len(suspensions_to_keep(export, limits)) >= MAX_SUSPENSIONS
    return export.suspension is None and export.revision.mapping.incremental and not too_often


def suspensions_to_keep(export: Export, limits: Limits) -> tuple[Suspension, ...]:
    """Without those after which Kafka has deleted all that came before: no mapper will meet their events again."""
    kept_from = time.time_ns() // 1_000_000 - limits.suspensions_kept_ms
    later = (*(suspension.since_ms for suspension in export.suspensions[1:]), kept_from)
    return tuple(one for one, after in zip(export.suspensions, later, strict=False) if after >= kept_from)


def check_deletion(
    catalog: Catalog,
    running: Iterable[Task],
    project_id: str,
    receiver_id: str,
    export_id: str | None,
    *,
    discard: bool,
) -> None:
    """Of an export, or (None) of the whole receiver. Events that wait are not to be lost in silence.

    Raises NotFound or Conflict.
    """
    check_idle(running, project_id, receiver_id, export_id)
    receiver = find_receiver(catalog, project_id, receiver_id)
    wanted = None if export_id is None else find_export(catalog, project_id, receiver_id, export_id)
    for export in catalog.exports_of(receiver) if wanted is None else [wanted]:
        if export.suspension is not None and not discard:
            raise _suspended(export, "Resume it first, or drop the events that wait (discard=true).")


def check_receiver_change(catalog: Catalog, running: Iterable[Task], project_id: str, receiver_id: str) -> None:
    """Raises NotFound or Conflict."""
    check_idle(running, project_id, receiver_id)
    find_receiver(catalog, project_id, receiver_id)


def check_export_change(
    catalog: Catalog, running: Iterable[Task], project_id: str, receiver_id: str, export_id: str
) -> None:
    """Raises NotFound or Conflict."""
    check_idle(running, project_id, receiver_id, export_id)
    find_export(catalog, project_id, receiver_id, export_id)


def check_tables(
    catalog: Catalog, project_id: str, wanted: Sequence[tuple[str, Mapping]], apart_from: str | None = None
) -> None:
    """That exports with these ids and mappings go well with the others. A full load replaces the whole table, so what
    another export put there, or is still to put, would vanish. `apart_from`: the uid of one that is changed. Raises
    Conflict.
    """
    taken: dict[str, list[tuple[str, Mapping]]] = {}
    for export in catalog.exports_by_uid.values():
        if export.project_id != project_id or export.uid == apart_from:
            continue
        words = f'the export "{export.receiver_id}/{export.export_id}"'
        if export.uid in catalog.draining:
            words = f'the deleted export "{export.receiver_id}/{export.export_id}", whose rows are still on their way'
        for revision in export.revisions:
            taken.setdefault(revision.mapping.table_id, []).append((words, revision.mapping))
    for replay in catalog.running_replays():
        if replay.project_id == project_id:
            words = f'a replay of the export "{replay.receiver_id}/{replay.export_id}"'
            taken.setdefault(replay.revision.mapping.table_id, []).append((words, replay.revision.mapping))
    for export_id, mapping in wanted:
        for words, other in taken.get(mapping.table_id, []):
            if not (mapping.incremental and other.incremental):
                raise Conflict(
                    f'Table "{mapping.table_id}" is the target of {words}; exports share a table only when all of '
                    'them are incremental ("incremental": true).',
                    "buffer.tableInUse",
                )
        taken.setdefault(mapping.table_id, []).append((f'the export "{export_id}"', mapping))


def _suspended(export: Export, hint: str = "") -> Conflict:
    return Conflict(f'Export "{export.export_id}" is suspended. {hint}'.rstrip(), "buffer.exportSuspended")


def _too_many_exports(limits: Limits) -> Conflict:
    return Conflict(
        f"Export count limit reached in the receiver, the maximum is {limits.max_exports}.",
        "buffer.exportCountLimitReached",
    )
