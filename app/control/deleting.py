"""Deleting receivers and exports: from the log at once; what was accepted is drained (delivery protocol, rule 20).

A drained export lives on under its uid, so that another can be made under the same name. With `discard` nothing is
drained: the tokens go at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from app.api.drafts import Deletion, load_draft
from app.api.rules import find_export, find_receiver
from app.control.claims import is_drained
from app.control.patience import StepFailed
from app.control.records import control_records, tokens_of
from app.control.run import Run, now_ms
from app.control.steps import Progress
from app.control.tokens import delete_in_passing
from app.control.topics import delete_topic, find_topic
from app.kafka.transaction import Record
from app.model.errors import KafkaUnavailable
from app.model.receiver import Draining, Export, Receiver, SourceOffset

Places = tuple[SourceOffset, ...]


async def delete_receiver(run: Run) -> None:
    """Where its exports' events end is found out later, when no gateway takes any more (see `Settling`)."""

    def end() -> list[Record]:
        receiver = find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)
        return _ended(run, receiver, run.catalog.exports_of(receiver), [receiver], None)

    if run.progress is None:
        await run.log.transact(end)
    await _finish(run, "receiver deleted")


async def delete_export(run: Run) -> None:
    """The receiver goes on taking events: those that are in its topic now are the last ones of the export."""
    task = run.task
    assert task.export_id is not None
    export_id = task.export_id
    if run.progress is None:
        receiver = find_receiver(run.catalog, task.project_id, task.receiver_id)
        drain_to = await _ends(run, receiver)

        def end() -> list[Record]:
            now = find_receiver(run.catalog, task.project_id, task.receiver_id)
            export = find_export(run.catalog, task.project_id, task.receiver_id, export_id)
            return _ended(run, now, [export], [], drain_to)

        await run.log.transact(end)
    await _finish(run, "export deleted")


def _ended(
    run: Run, receiver: Receiver, exports: Sequence[Export], ended: Sequence[Receiver], drain_to: Places | None
) -> list[Record]:
    """What is drained, then tombstones, exports before their receiver; and in the task what is to go in Storage and
    Kafka.
    """
    deletion = load_draft(Deletion, run.command.payload)
    drained = [] if deletion.discard else [_draining(run, receiver, export, drain_to) for export in exports]
    replays = [r for export in exports for r in run.catalog.replays_of(export.uid)] if deletion.discard else []
    lane_tokens = [replay.revision.token_id for replay in replays if not replay.is_finished]
    progress = Progress(spent_tokens=(*tokens_of(exports), *lane_tokens) if deletion.discard else ())
    if deletion.delete_topic and not receiver.is_bound:
        others = run.catalog.draining_from(receiver.topic)
        drained = [replace(draining, delete_topic=True) for draining in (*others, *drained)]
        progress = replace(progress, spent_topic=None if drained else (receiver.topic, receiver.topic_id))
    bound = drained or is_drained(run.catalog, receiver.uid)
    claims = [
        claim
        for claim in (run.catalog.bindings_of(receiver.uid) if ended else [])
        if not bound or run.catalog.binding_of(claim.topic) != claim  # that came too late: nothing of it is drained
    ]
    return control_records(
        run.log.names, [*drained, run.with_progress(progress)], [*replays, *exports, *ended, *claims]
    )


async def _ends(run: Run, receiver: Receiver) -> Places | None:
    """Where the receiver's events end now; None where `Settling` has to find it out."""
    topics = run.catalog.topics_of(receiver)
    try:
        found = await asyncio.gather(*(find_topic(run.around.admin, topic.topic) for topic in topics))
    except KafkaUnavailable:
        return None
    places: list[SourceOffset] = []
    for topic, facts in zip(topics, found, strict=True):
        if facts is None or facts.topic_id != topic.topic_id or len(facts.ends) < topic.partitions:
            return None
        places += facts.starts
    return tuple(places)


def _draining(run: Run, receiver: Receiver, export: Export, drain_to: Places | None) -> Draining:
    return Draining(
        replace(export, drain_to=drain_to, ended_by=run.command.token),
        receiver.topic,
        receiver.topic_id,
        receiver.partitions,
        delete_topic=False,
        ended_ms=now_ms(),
    )


async def _finish(run: Run, result: str) -> None:
    progress = run.progress or Progress()
    if progress.spent_tokens:
        await delete_in_passing(run, progress.spent_tokens)
    if progress.spent_topic:
        try:
            await delete_topic(run.around.admin, *progress.spent_topic)
        except KafkaUnavailable as trouble:
            text = f"The receiver is deleted, but its topic may be left; delete it in Kafka. {trouble.message}"
            raise StepFailed(text, trouble.status, trouble.name) from trouble
    await run.succeed(result)
