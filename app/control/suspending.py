"""Suspending and resuming exports: at which offsets is found out once, here, and written down (delivery protocol,
rule 22).

Each takes two transactions. The first says that it is going on, and from then on mappers hold what they have fetched of
the receiver; so whatever lies at or behind the ends of the topic that are asked for next was fetched by a mapper that
knows of it. The second says the offsets, and mappers go on. What comes between "suspended" and "resumed" is mapped by a
lane of its own. Nothing that can fail for long lies between the two: a lane's table and token are made before, and
Kafka is asked once before, too. What fails nevertheless takes the first back: as nothing was mapped or skipped in
between, the export is then as if nobody had asked.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from app.api.drafts import Suspending, load_draft
from app.api.replay_rules import check_export_resume, replay_mapping
from app.api.rules import find_export, find_receiver, may_be_suspended, suspensions_to_keep
from app.control.creating import Tokens, is_made, topic_ends, wanted_for, with_provisions
from app.control.log import Closed, Interrupted
from app.control.records import control_records
from app.control.replaying import lane_topic
from app.control.run import Run, now_ms
from app.control.steps import Failure, Progress
from app.control.tokens import delete_in_passing
from app.kafka.codec import ControlValue
from app.kafka.transaction import Record
from app.model.ids import new_uid
from app.model.receiver import Export, Receiver, Revision, Suspension, offset_at
from app.model.replay import OffsetRange, Replay, ReplayKind, lane_number

_log = logging.getLogger(__name__)


async def pause_export(run: Run) -> None:
    """As a person asked."""
    await _suspend(run, lambda: _export(run), None)


async def suspend_export(run: Run) -> None:
    """As the mapper asked, because nothing of the export can be mapped. Nothing is done when that is over by now."""
    asked = load_draft(Suspending, run.command.payload)

    def meant() -> Export | None:
        export = run.catalog.exports_by_uid.get(asked.uid)
        if export is None or export.uid in run.catalog.draining or export.revision.number != asked.revision:
            return None
        return export if may_be_suspended(export, run.limits) else None

    if is_made(run) or meant() is not None:
        await _suspend(run, lambda: run.catalog.exports_by_uid[asked.uid], asked.reason)
    else:
        await run.succeed("nothing to suspend")


async def resume_export(run: Run) -> None:
    """Events that come from now on are mapped as they arrive, those that waited by a lane beside them."""
    task = run.task
    if not is_made(run):
        suspension = _export(run).suspension
        if suspension is not None and suspension.first is None:
            # Left behind by a task that did not come to its end: mappers hold all since, so nothing was skipped.
            await run.succeed("export resumed; no event had been left out", lambda: _before(_export(run)))
            return
        mapping = replay_mapping(_export(run), None)

        def check() -> None:
            check_export_resume(run.catalog, (), run.limits, task.project_id, task.receiver_id, task.export_id or "")

        async def conclude(tokens: Tokens) -> None:
            (token,) = tokens.values()
            await topic_ends(run, _receiver(run), run.make_until)  # while it can fail and nobody is held up

            def resuming() -> Export:
                export = _export(run)
                number = lane_number(run.catalog.replays_of(export.uid), export.revision.number)
                lane = Revision(number, mapping, token.token_id, token.token, now_ms())
                return _with_last(export, replace(_last(export), lane=lane))

            await _announce(run, resuming)

        await with_provisions(run, [wanted_for(run, task.export_id or "", mapping)], check, conclude)

    async def settle() -> None:
        receiver = _receiver(run)
        end = await topic_ends(run, receiver, run.undo_until, _last(_export(run)).first or ())
        lane = new_uid()

        def resumed() -> Sequence[ControlValue]:
            export = _export(run)
            suspension = replace(_last(export), end=end or ())
            replay = _replay(run, export, suspension, receiver, lane)
            return [_with_last(export, replace(suspension, lane=None)), replay]

        lost = "; what waited is gone with its topic" if end is None else ""
        await run.succeed(f"export resumed; replay {lane} maps what waited{lost}", resumed)

    if is_made(run):
        await _settle(run, lambda: _export(run), settle)


async def _suspend(run: Run, entity: Callable[[], Export], reason: str | None) -> None:
    if not is_made(run):
        await topic_ends(run, _receiver(run), run.make_until)  # while it can fail and nobody is held up

        def pausing() -> Export:
            export = entity()
            return replace(export, suspensions=(*suspensions_to_keep(export, run.limits), Suspension(now_ms(), reason)))

        await _announce(run, pausing)

    async def settle() -> None:
        first = await topic_ends(run, _receiver(run), run.undo_until)

        def paused() -> list[Export]:
            return [_with_last(entity(), replace(_last(entity()), first=first or ()))]

        await run.succeed("export suspended", paused)
        if reason is not None:
            _log.warning(
                "export %s/%s is suspended: its events wait in Kafka until it is resumed; %s",
                *(run.task.receiver_id, run.task.export_id, reason),
            )

    await _settle(run, entity, settle)


async def _announce(run: Run, entity: Callable[[], Export]) -> None:
    """The first of the two transactions."""
    progress = replace(run.progress or Progress(), made=True)
    await run.log.transact(lambda: control_records(run.log.names, [entity(), run.with_progress(progress)]))


async def _settle(run: Run, entity: Callable[[], Export], second: Callable[[], Awaitable[None]]) -> None:
    """The second of them or, where that cannot be, the first one taken back: a task must not end in between, since
    mappers hold the receiver's events for as long.
    """
    failure = run.progress.failure if run.progress is not None else None
    if failure is None:
        try:
            await second()
            return
        except (Interrupted, Closed):
            raise
        except Exception as error:
            failure = run.failure(error)
            failure = replace(failure, message=f"{failure.message} The export is as it was before.")
            await _take_back(run, entity, failure)
    spent = run.progress.spent_tokens if run.progress is not None else ()
    if spent:
        await delete_in_passing(run, spent)
    await run.fail(failure)


async def _take_back(run: Run, entity: Callable[[], Export], failure: Failure) -> None:
    """In one transaction with the word that the task is to fail, and which token is to be deleted then."""

    def records() -> list[Record]:
        export = entity()
        lane = None if export.suspension is None else export.suspension.lane
        spent = () if lane is None else (lane.token_id,)
        progress = replace(run.progress or Progress(), failure=failure, spent_tokens=spent)
        return control_records(run.log.names, [*_before(export), run.with_progress(progress)])

    await run.log.transact(records)


def _before(export: Export) -> list[Export]:
    """The export before the announcement that it is under; none when it is under none."""
    last = export.suspension
    if last is None or not last.is_settling:
        return []
    if last.first is None:
        return [replace(export, suspensions=export.suspensions[:-1])]
    return [_with_last(export, replace(last, lane=None))]


def _replay(run: Run, export: Export, suspension: Suspension, receiver: Receiver, lane: str) -> Replay:
    """What came in the meantime, partition by partition; those that were added meanwhile from their beginning."""
    assert suspension.lane is not None
    topics, ranges = {topic.topic_id: topic.topic for topic in run.catalog.topics_of(receiver)}, []
    for place in suspension.end or ():
        first = offset_at(suspension.first or (), place.topic_id, place.partition) or 0
        first = max(first, export.start(place.topic_id, place.partition))
        of = () if receiver.pattern is None else (topics[place.topic_id], place.topic_id)
        part = OffsetRange(place.partition, min(first, place.offset), place.offset, *of)
        if part.count or receiver.pattern is None:
            ranges.append(part)
    return Replay(
        lane,
        ReplayKind.RESUME,
        export.project_id,
        export.receiver_id,
        export.export_id,
        export.uid,
        suspension.lane,
        lane_topic(run, receiver),
        receiver.pattern or receiver.topic,
        receiver.topic_id,
        tuple(ranges),
        now_ms(),
        run.command.token,
    )


def _receiver(run: Run) -> Receiver:
    return find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)


def _export(run: Run) -> Export:
    task = run.task
    return find_export(run.catalog, task.project_id, task.receiver_id, task.export_id or "")


def _last(export: Export) -> Suspension:
    suspension = export.suspension
    assert suspension is not None, f"export {export.uid} is not suspended"
    return suspension


def _with_last(export: Export, suspension: Suspension) -> Export:
    return replace(export, suspensions=(*export.suspensions[:-1], suspension))
