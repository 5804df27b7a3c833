"""Changing receivers and exports. A new mapping is a new revision, with a token of its own.

Source: Buffer API, mapping change.
"""

from __future__ import annotations

from dataclasses import replace

from app.api.drafts import ExportChange, ReceiverChange, load_draft
from app.api.rules import check_export_update, find_export, find_receiver
from app.control.creating import Tokens, wanted_for, with_provisions
from app.control.run import Run, now_ms
from app.kafka.codec import ControlValue
from app.model.receiver import Export, Revision


async def update_receiver(run: Run) -> None:
    change = load_draft(ReceiverChange, run.command.payload)

    def entities() -> list[ControlValue]:
        receiver = find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)
        name = receiver.name if change.name is None else change.name
        description = receiver.description if change.description is None else change.description
        return [replace(receiver, name=name, description=description)]

    await run.succeed("receiver updated", entities)


async def update_export(run: Run) -> None:
    """Name and conditions are in force with the task's end, and so is the mapping: the mapper reads the log behind a
    barrier, and the sink closes the windows of the earlier revision.
    """
    change = load_draft(ExportChange, run.command.payload)
    mapping = change.mapping
    if mapping is None:
        await run.succeed("export updated", lambda: [_changed(_export(run), change)])
        return

    def check() -> None:
        task = run.task
        assert task.export_id is not None
        check_export_update(run.catalog, (), run.limits, task.project_id, task.receiver_id, task.export_id, change)

    async def conclude(tokens: Tokens) -> None:
        (token,) = tokens.values()

        def entities() -> list[ControlValue]:
            export = _changed(_export(run), change)
            revision = Revision(export.revision.number + 1, mapping, token.token_id, token.token, now_ms())
            return [replace(export, revisions=(*export.revisions, revision), ended_by=run.command.token)]

        await run.succeed("export updated", entities)

    await with_provisions(run, [wanted_for(run, _export(run).export_id, mapping)], check, conclude)


def _export(run: Run) -> Export:
    task = run.task
    assert task.export_id is not None
    return find_export(run.catalog, task.project_id, task.receiver_id, task.export_id)


def _changed(export: Export, change: ExportChange) -> Export:
    name = export.name if change.name is None else change.name
    conditions = export.conditions if change.conditions is None else change.conditions
    return replace(export, name=name, conditions=conditions)
