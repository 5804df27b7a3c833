"""Beginning replays: which offsets they are of is found out once, here, and written down before anybody maps them.

A replay is provisioned as a new revision of its export is: its table with the bucket around it, and a token. Its lanes
run in the mapper and the sink, which says when all is in the table (`app.control.retiring`). Source: delivery protocol,
rule 21.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from app.api.drafts import Cancelling, ReplayDraft, RequeueDraft, load_draft
from app.api.replay_rules import check_replay_cancel, check_replay_create, find_replay, replay_mapping
from app.api.rules import find_export, find_receiver
from app.control.creating import Tokens, wanted_for, with_provisions
from app.control.patience import StepFailed
from app.control.run import Run, now_ms
from app.control.topics import find_spans
from app.kafka.client import partition_of_key
from app.kafka.codec import ControlValue
from app.kafka.dead_letters import letter_key
from app.kafka.requeue import earlier_requeues
from app.model.ids import new_uid
from app.model.receiver import Export, Receiver, Revision
from app.model.replay import OffsetRange, Replay, ReplayKind, lane_number


@dataclass(frozen=True)
class LaneSource:
    """What a lane reads: these offsets of the topic, and of a requeue which letters of them."""

    topic: str
    topic_id: str
    ranges: tuple[OffsetRange, ...]
    reason: str | None = None
    note: str = ""
    """What the task says of it besides."""


Find = Callable[[Export, Receiver], Awaitable[LaneSource]]


async def create_replay(run: Run) -> None:
    """Of a range of time of the receiver's topic, into the export's table or another one."""
    draft = load_draft(ReplayDraft, run.command.payload)

    async def find(export: Export, receiver: Receiver) -> LaneSource:
        ranges: list[OffsetRange] = []
        left_out: list[str] = []
        for topic in run.catalog.topics_of(receiver):
            spans = await find_spans(run.around.admin, topic.topic, draft.from_ms, draft.to_ms)
            if spans is not None and spans.topic_id == topic.topic_id:
                one = receiver.pattern is None
                named = [
                    replace(part, topic=topic.topic, topic_id=topic.topic_id) for part in spans.ranges if part.count
                ]
                ranges += spans.ranges if one else named
                left_out += [spans.gone if one else f"{topic.topic} {spans.gone}"] if spans.gone else []
            elif receiver.pattern is None:
                raise StepFailed(f"Topic {topic.topic} is not there any more.")
            else:
                left_out.append(f"{topic.topic}, which is not there any more")
        gone = ", ".join(left_out)
        if not any(part.count for part in ranges):
            words = f" What retention deleted is gone: {gone}." if gone else ""
            raise StepFailed(f"The receiver's topic has no event of that time.{words}")
        note = f"; what retention deleted is left out: {gone}" if gone else ""
        return LaneSource(receiver.pattern or receiver.topic, receiver.topic_id, tuple(ranges), note=note)

    await begin_lane(run, ReplayKind.REPLAY, draft.table_id, find)


async def requeue_letters(run: Run) -> None:
    """Dead letters of the export; those of an earlier requeue are left out by whoever reads them."""
    draft = load_draft(RequeueDraft, run.command.payload)

    async def find(export: Export, receiver: Receiver) -> LaneSource:
        topic = run.log.names.dead_letters
        spans = await find_spans(run.around.admin, topic, draft.since_ms or 0, draft.until_ms)
        if spans is None:
            raise StepFailed(f"Topic {topic} is not there.")
        key = letter_key(export.project_id, export.receiver_id, export.export_id)
        part = spans.ranges[partition_of_key(key, len(spans.ranges))]
        if not part.count:
            raise StepFailed("There are no dead letters of that time.")
        before = earlier_requeues(run.catalog.replays_of(export.uid), spans.topic_id)
        left_out = [replay for replay in before if draft.reason is None or replay.reason in (None, draft.reason)]
        left_out = [r for r in left_out if any(p.first < part.end and part.first < p.end for p in r.ranges)]
        names = ", ".join(replay.lane for replay in left_out)
        note = f"; letters that were requeued before are left out: {names}" if names else ""
        return LaneSource(topic, spans.topic_id, (part,), draft.reason, note)

    await begin_lane(run, ReplayKind.REQUEUE, None, find)


async def cancel_replay(run: Run) -> None:
    """Mappers that see it map no more of it and leave out the rest; so it ends as any other (`app.mapper.replays`)."""
    task = run.task
    lane = load_draft(Cancelling, run.command.payload).lane
    place = task.project_id, task.receiver_id, task.export_id or ""

    def cancelled() -> Sequence[ControlValue]:
        check_replay_cancel(run.catalog, (), *place, lane)
        replay = find_replay(run.catalog, find_export(run.catalog, *place), lane)
        return [] if replay.is_cancelled else [replace(replay, cancelled_ms=now_ms())]

    await run.succeed(f"replay {lane} cancelled", cancelled)


async def begin_lane(run: Run, kind: ReplayKind, table_id: str | None, find: Find) -> None:
    """Provision, find out the offsets, and write the replay down as the task's end. `table_id` None: the export's."""
    task = run.task
    assert task.export_id is not None
    export_id = task.export_id

    def entity() -> Export:
        return find_export(run.catalog, task.project_id, task.receiver_id, export_id)

    def check() -> None:
        check_replay_create(run.catalog, (), run.limits, task.project_id, task.receiver_id, export_id, table_id)

    mapping = replay_mapping(entity(), table_id)

    async def conclude(tokens: Tokens) -> None:
        (token,) = tokens.values()
        receiver = find_receiver(run.catalog, task.project_id, task.receiver_id)
        source = await find(entity(), receiver)
        lane = new_uid()

        def entities() -> Sequence[ControlValue]:
            export = entity()
            number = lane_number(run.catalog.replays_of(export.uid), export.revision.number)
            revision = Revision(number, mapping, token.token_id, token.token, now_ms())
            return [
                Replay(
                    lane,
                    kind,
                    export.project_id,
                    export.receiver_id,
                    export.export_id,
                    export.uid,
                    revision,
                    lane_topic(run, receiver),
                    source.topic,
                    source.topic_id,
                    source.ranges,
                    now_ms(),
                    run.command.token,
                    source.reason,
                )
            ]

        await run.succeed(f"replay {lane} begun{source.note}", entities)

    await with_provisions(run, [wanted_for(run, export_id, mapping)], check, conclude)


def lane_topic(run: Run, receiver: Receiver) -> str:
    """The topic whose owners run lanes that name none: the receiver's own, or one of those that it reads."""
    topics = run.catalog.topics_of(receiver)
    return topics[0].topic if topics else ""


def finished(replay: Replay, rows: int, failures: int, note: str | None = None) -> Replay:
    """The replay once all of it is in the table; its token is gone. `note`: why not all of it was mapped."""
    return replace(
        replay,
        revision=replace(replay.revision, token=b""),
        begun_by=b"",
        finished_ms=now_ms(),
        rows=rows,
        failures=failures,
        skipped=max(0, replay.count - rows - failures),
        note=note,
    )
