"""What the catalog allows: who exists, who is busy, how many there may be, who may share a table. Of replays it is in
`replay_rules`.

Pure. The API asks before it sends a command, control asks again before it carries one out, since two gateways may
have asked at the same time. Source: Buffer API, limits and errors; delivery protocol, rule 17.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from app.api.drafts import ExportChange, ExportDraft, ReceiverDraft
from app.api.limits import Limits
from app.api.sources import check_source_pattern, check_source_topic
from app.model.catalog import Catalog
from app.model.errors import BadRequest, Conflict, NotFound
from app.model.receiver import Export, Mapping, Receiver, Suspension, entity_key
from app.model.task import Task, TaskType

MAX_SUSPENSIONS = 100
"""Suspensions that an export's record keeps: those whose events may still be in Kafka."""


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
