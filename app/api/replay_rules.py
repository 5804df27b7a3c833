"""What the catalog allows of replays: of events that are past, of dead letters, and of what waited for a resume. Pure.

As in `rules` the API asks before it sends a command, and control asks again before it carries one out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.api.limits import Limits
from app.api.rules import check_idle, check_tables, find_export
from app.model.catalog import Catalog
from app.model.errors import BadRequest, Conflict, NotFound, clipped
from app.model.receiver import Export, Mapping
from app.model.replay import Replay, ReplayKind
from app.model.task import Task


def check_replay_create(
    catalog: Catalog,
    running: Sequence[Task],
    limits: Limits,
    project_id: str,
    receiver_id: str,
    export_id: str,
    table_id: str | None,
) -> None:
    """`table_id` None: the export's own table. Raises NotFound, BadRequest or Conflict."""
    check_idle(running, project_id, receiver_id, export_id)
    export = find_export(catalog, project_id, receiver_id, export_id)
    if not export.revision.mapping.incremental and table_id in (None, export.revision.mapping.table_id):
        raise BadRequest(
            f'Export "{export_id}" loads its table as a whole ("incremental": false), so replayed rows would replace '
            "newer ones; replay into another table."
        )
    unfinished = sum(not replay.is_finished for replay in catalog.replays_of(export.uid))
    if unfinished >= limits.max_replays:
        raise Conflict(
            f"Replay count limit reached in the export, the maximum is {limits.max_replays} at a time.",
            "buffer.replayCountLimitReached",
        )
    check_tables(catalog, project_id, [(export_id, replay_mapping(export, table_id))])


def check_export_resume(
    catalog: Catalog, running: Sequence[Task], limits: Limits, project_id: str, receiver_id: str, export_id: str
) -> None:
    """Raises NotFound, BadRequest or Conflict."""
    check_replay_create(catalog, running, limits, project_id, receiver_id, export_id, None)
    if find_export(catalog, project_id, receiver_id, export_id).suspension is None:
        raise Conflict(f'Export "{export_id}" is not suspended.', "buffer.exportNotSuspended")


def find_replay(catalog: Catalog, export: Export, lane: str) -> Replay:
    """Raises NotFound."""
    replay = catalog.replays.get(export.uid, {}).get(lane)
    if replay is None:
        raise NotFound(f'Replay "{clipped(lane)}" not found in the export.', "buffer.replayNotFound")
    return replay


def check_replay_cancel(
    catalog: Catalog, running: Sequence[Task], project_id: str, receiver_id: str, export_id: str, lane: str
) -> None:
    """What a resume or a requeue leaves out would never be mapped. Raises NotFound or Conflict."""
    check_idle(running, project_id, receiver_id, export_id)
    replay = find_replay(catalog, find_export(catalog, project_id, receiver_id, export_id), lane)
    if replay.kind is not ReplayKind.REPLAY:
        why = {
            ReplayKind.RESUME: "maps what came while the export was suspended; those events would be lost",
            ReplayKind.REQUEUE: "is of dead letters that no later requeue takes up; their events would be lost",
        }[replay.kind]
        raise Conflict(
            f'Replay "{lane}" {why}, so it cannot be cancelled. It ends with the export when that is deleted with '
            "discard=true.",
            "buffer.replayNotCancellable",
        )
    if replay.is_finished and not replay.is_cancelled:
        raise Conflict(f'Replay "{lane}" is finished.', "buffer.replayFinished")


def replay_mapping(export: Export, table_id: str | None) -> Mapping:
    """The mapping of a replay that begins now: the one in force, into its table or another; rows are added to it."""
    mapping = export.revision.mapping
    return replace(mapping, table_id=table_id or mapping.table_id, incremental=True)
