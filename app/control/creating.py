"""Making receivers and exports: bucket, token, table, topic, log; or nothing of it.

Each gets a uid of its own, so that it shares nothing with an earlier one of its name (delivery protocol, identity).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from app.api.drafts import ExportDraft, ReceiverDraft, SourceDraft, load_draft
from app.api.rules import check_export_create, check_receiver_create, find_receiver
from app.control.binding import bound_topics, check_are_free, claim, find_sources
from app.control.log import Closed, Interrupted
from app.control.operators import until_topic_is_there
from app.control.patience import StepFailed
from app.control.provision import Provisioner
from app.control.records import (
    ManyTopics,
    SealedToken,
    TopicFacts,
    choose_rows_partitions,
    control_records,
    make_export,
    make_receiver,
)
from app.control.run import Run, now_ms
from app.control.steps import Failure, Progress, Wanted, token_description
from app.control.topics import ensure_receiver_topic, topics_end
from app.kafka.codec import ControlValue
from app.model.errors import KafkaUnavailable
from app.model.ids import new_secret, new_uid
from app.model.receiver import Draining, Export, Receiver, SourceOffset
from app.model.receiver import Mapping as TableMapping

_LOOK_AGAIN_SECONDS = 0.1
_log = logging.getLogger(__name__)
Tokens = Mapping[str, SealedToken]
Check = Callable[[], None]
Conclude = Callable[[Tokens], Awaitable[None]]


async def create_receiver(run: Run) -> None:
    """With its first exports. Where topics are the operators', it waits for its own before anything is made."""
    draft = load_draft(ReceiverDraft, run.command.payload)
    project_id = run.task.project_id

    def check() -> None:
        check_receiver_create(run.catalog, (), run.limits, project_id, draft)

    async def conclude(tokens: Tokens) -> None:
        await _until_drained_ends_are_known(run)
        if draft.source is None:
            topic: TopicFacts | ManyTopics = await ensure_receiver_topic(
                run.around.admin, run.around.settings, run.topic
            )
            uid = new_uid()
        else:
            topic = await find_sources(run, draft.source)
            uid = await claim(run, topic)
        secret = run.around.cipher.encrypt(new_secret())

        def entities() -> list[ControlValue]:
            if draft.source is not None:
                check_are_free(run, topic)
            receiver = make_receiver(project_id, draft, topic, uid=uid, secret=secret, now_ms=now_ms())
            return [receiver, *_exports(run, receiver, draft.exports, tokens, topic), *_topic_is_kept(run)]

        await _put(run, entities)

    if draft.source is None:
        await until_topic_is_there(run)
    await _create(run, _wanted(run, draft.exports), check, conclude, "receiver created", draft.source)


async def create_export(run: Run) -> None:
    draft = load_draft(ExportDraft, run.command.payload)
    project_id, receiver_id = run.task.project_id, run.task.receiver_id

    def check() -> None:
        check_export_create(run.catalog, (), run.limits, project_id, receiver_id, draft)

    async def conclude(tokens: Tokens) -> None:
        receiver = find_receiver(run.catalog, project_id, receiver_id)
        topic: TopicFacts | ManyTopics
        if receiver.is_bound:
            topic = await bound_topics(run, receiver)
        else:
            topic = await ensure_receiver_topic(run.around.admin, run.around.settings, run.topic)

        def entities() -> list[Export]:
            return _exports(run, find_receiver(run.catalog, project_id, receiver_id), (draft,), tokens, topic)

        await _put(run, entities)

    await _create(run, _wanted(run, (draft,)), check, conclude, "export created")


async def _create(
    run: Run,
    wanted: Sequence[Wanted],
    check: Check,
    conclude: Conclude,
    result: str,
    source: SourceDraft | None = None,
) -> None:
    """In two steps: what is made takes events; then it is known from where on it takes all of them. Where a source is
    read from an earlier place that is known from the beginning: nobody has read of the topic before.
    """
    if not is_made(run):
        await with_provisions(run, wanted, check, conclude)
    if is_made(run) and source is not None and source.from_ms is not None:
        await run.succeed(result)
    elif is_made(run):
        await _begin(run, result)


def is_made(run: Run) -> bool:
    """Whether the first of the task's two transactions is in the log."""
    return run.progress is not None and run.progress.made


async def _put(run: Run, entities: Callable[[], Sequence[ControlValue]]) -> None:
    progress = replace(run.progress or Progress(), made=True)
    await run.log.transact(lambda: control_records(run.log.names, [*entities(), run.with_progress(progress)]))


async def _begin(run: Run, result: str) -> None:
    """Let the exports begin where their topic ends now, when every mapper sees them.

    What came between the first look at the topic and the log's record may have been passed by; were it the last of its
    partition, nobody would ever say that the export has taken it (`app.sink.retiring`).
    """
    receiver = find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)
    starts = await topic_ends(run, receiver)

    def entities() -> list[Export]:
        exports = [e for e in run.catalog.exports_of(receiver) if run.task.export_id in (None, e.export_id)]
        return [] if starts is None else [replace(export, starts=starts) for export in exports]

    await run.succeed(result, entities)


async def topic_ends(
    run: Run, receiver: Receiver, until: float = math.inf, named: Sequence[SourceOffset] = ()
) -> tuple[SourceOffset, ...] | None:
    """Where the receiver's topics end; None when all are gone for good. Tried until Kafka says it, or until this time
    on the monotonic clock: then raises KafkaUnavailable. `named` are places of the topics from before.
    """
    while True:
        try:
            return await topics_end(run.around.admin, run.catalog.topics_of(receiver), named)
        except KafkaUnavailable as trouble:
            if time.monotonic() > until:
                raise
            _log.warning("task %s waits: %s", run.task.task_id, trouble)
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)


async def with_provisions(run: Run, wanted: Sequence[Wanted], check: Check, conclude: Conclude) -> None:
    """Make what is wanted in Storage, then `conclude` with a token for each export, by its id.

    When that cannot be done, what was made is removed and the task fails.
    """
    with run.around.storage(run.command.token) as storage:
        provisioner = Provisioner(storage, wanted, run.progress, run.save)
        failure = provisioner.progress.failure if provisioner.progress is not None else None
        if failure is None:
            try:
                check()
                tokens = await provisioner.make(run.make_until) if wanted else {}
                seal = run.around.cipher.encrypt
                await conclude({key: SealedToken(token.token_id, seal(token.text)) for key, token in tokens.items()})
                return
            except (Interrupted, Closed):
                raise
            except Exception as error:
                failure = run.failure(error)
        await run.fail(await _undo(run, provisioner, failure))


def wanted_for(run: Run, export_id: str, mapping: TableMapping) -> Wanted:
    """What an export of the task's receiver needs in Storage."""
    return Wanted(export_id, token_description(run.task.receiver_id, export_id), mapping)


def _wanted(run: Run, drafts: Sequence[ExportDraft]) -> list[Wanted]:
    return [wanted_for(run, draft.export_id, draft.mapping) for draft in drafts]


async def _undo(run: Run, provisioner: Provisioner, failure: Failure) -> Failure:
    """The failure, with what may be left in Storage if not all could be removed."""
    try:
        await provisioner.undo(failure, run.undo_until)
    except StepFailed as trouble:
        left = ", ".join(provisioner.left())
        words = f"Not all that was made could be removed: {trouble.message} Delete in Storage what is there of: {left}."
        return replace(failure, message=f"{failure.message}\n{words}")
    return failure


def _exports(
    run: Run, receiver: Receiver, drafts: Sequence[ExportDraft], tokens: Tokens, topic: TopicFacts | ManyTopics
) -> list[Export]:
    chosen = choose_rows_partitions(run.catalog.exports_by_uid.values(), run.around.rows_partitions, len(drafts))
    return [
        make_export(
            receiver,
            draft,
            topic,
            tokens[draft.export_id],
            uid=new_uid(),
            rows_partition=partition,
            now_ms=now_ms(),
        )
        for draft, partition in zip(drafts, chosen, strict=True)
    ]


async def _until_drained_ends_are_known(run: Run) -> None:
    """A gateway that has not seen yet that an earlier receiver was deleted may still write into the topic: those events
    are the earlier one's (delivery protocol, rule 20). `Settling` finds out where they end.
    """
    while any(draining.export.drain_to is None for draining in run.catalog.draining_from(run.topic)):
        if time.monotonic() > run.make_until:
            raise StepFailed("The events of a deleted receiver with the same id were not all in Kafka in time.", 504)
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _topic_is_kept(run: Run) -> list[Draining]:
    """The topic of a deleted receiver is used again, so it must not go with what is drained from it."""
    found = run.catalog.draining_from(run.topic)
    return [replace(draining, delete_topic=False) for draining in found if draining.delete_topic]
