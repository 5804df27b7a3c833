"""Changing receivers and exports. A new mapping is a new revision, with a token of its own.

Source: Buffer API, mapping change.
"""

from __future__ import annotations

from dataclasses import replace

from app.api.drafts import ExportChange, ReceiverChange, load_draft
from app.api.limits import PLACES_BYTES
from app.api.rules import check_export_update, find_export, find_receiver
from app.control.creating import Tokens, wanted_for, with_provisions
from app.control.patience import StepFailed
from app.control.run import Run, now_ms
from app.kafka.codec import ControlValue, control_codec
from app.model.receiver import Export, Revision

_MESSAGE_MARGIN_BYTES = 256 * 1024
"""For the ends of revisions in a receiver's own topic, which are written into the record later, and what Kafka adds."""


async def update_receiver(run: Run) -> None:
    change = load_draft(ReceiverChange, run.command.payload)

    def entities() -> list[ControlValue]:
        receiver = find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)
        return [change.applied_to(receiver)]

    await run.succeed("receiver updated", entities)


async def update_export(run: Run) -> None:
    """Name and conditions are in force with the task's end, and so is the mapping: the mapper reads the log behind a
    barrier, and the sink closes the windows of the earlier revision.
    """
    change = load_draft(ExportChange, run.command.payload)
    mapping = change.new_mapping(_export(run).revision.mapping)
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
            export = replace(export, revisions=(*export.revisions, revision), ended_by=run.command.token)
            _check_size(run, export)
            return [export]

        await run.succeed("export updated", entities)

    await with_provisions(run, [wanted_for(run, _export(run).export_id, mapping)], check, conclude)


def _check_size(run: Run, export: Export) -> None:
    """Mappings that still have rows on their way are all in one record, which must fit a message."""
    receiver = find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)
    read = sum(topic.partitions for topic in run.catalog.topics_of(receiver)) if receiver.is_bound else 0
    if size_in_the_end(export, read) > run.around.settings.max_message_bytes - _MESSAGE_MARGIN_BYTES:
        raise StepFailed(
            f'{len(export.revisions) - 1} mappings of the export "{export.export_id}" still have rows on their way, '
            "and another one of this size does not fit beside them; change it again when their rows are imported.",
            409,
            "buffer.mappingRevisionCountLimitReached",
        )


def size_in_the_end(export: Export, partitions: int) -> int:
    """Bytes of the export's record with all places that may still come to it in so many partitions of others' topics,
    so that the record of a suspension, or of where a mapping ends, is never too large. Pure.
    """
    placeless = replace(
        export,
        starts=(),
        drain_to=None,
        revisions=tuple(replace(revision, until=None) for revision in export.revisions),
        suspensions=tuple(replace(s, first=None, end=None) for s in export.suspensions),
    )
    return max(len(control_codec.encode(export)), len(control_codec.encode(placeless)) + partitions * PLACES_BYTES)


def _export(run: Run) -> Export:
    task = run.task
    assert task.export_id is not None
    return find_export(run.catalog, task.project_id, task.receiver_id, task.export_id)


def _changed(export: Export, change: ExportChange) -> Export:
    name = export.name if change.name is None else change.name
    conditions = export.conditions if change.conditions is None else change.conditions
    return replace(export, name=name, conditions=conditions)
