"""What a replay or a requeue would come to: the first events of it mapped on trial, and nothing stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.api.answers import Answer
from app.api.context import Context
from app.api.drafts import ReplayDraft, RequeueDraft
from app.api.replay_rules import replay_mapping
from app.api.samples import joined
from app.api.trying import trial_place
from app.kafka.dead_letters import PublishedLetter, Selection, letter_key
from app.kafka.each_topic import read_each
from app.kafka.events import to_batch
from app.kafka.names import Names
from app.kafka.requeue import Criteria, LetterAt, earlier_requeues, events_of
from app.kafka.spans import Sampled, Span, read_sample, read_span
from app.model.event import EventBatch, Reason
from app.model.receiver import Export, Receiver
from app.model.replay import OffsetRange


class TriedRangeAnswer(Answer):
    """`topic` is there where the receiver reads several."""

    topic: str | None = None
    partition: int
    first: int
    end: int


class TriedReplayAnswer(Answer):
    """`is_whole`: the events tried are all there are; else they are the first ones."""

    table_id: str
    ranges: list[TriedRangeAnswer]
    offsets: int
    deleted_before: list[int] | None = None
    tried: int
    is_whole: bool
    rows: int
    failures: int
    skipped: int
    mended: int


async def try_replay(context: Context, export: Export, receiver: Receiver, draft: ReplayDraft) -> TriedReplayAnswer:
    """`mended`: of the events that become rows, how many are among the export's newest dead letters."""
    mapping = replay_mapping(export, draft.table_id)
    settings = context.settings
    most = settings.max_dry_run_events

    ids = {topic.topic: topic.topic_id for topic in context.catalog.topics_of(receiver)}

    def read() -> tuple[Span, Sampled]:
        spans = read_each(
            list(ids),
            settings.synchronous_seconds,
            lambda topic, seconds: read_span(settings, topic, draft.from_ms, draft.to_ms, seconds),
        )
        ranges = (replace(part, topic=topic) for topic, span in spans.items() for part in span.ranges)
        span = Span(tuple(ranges), tuple(partition for span in spans.values() for partition in span.gone))
        return span, read_sample(settings, receiver.topic, span.ranges, most, settings.acknowledge_seconds)

    with trial_place(context):
        span, sampled = await context.reads.run(read)
        found = [(ids[part.topic or ""], part.partition, record) for part, record in sampled.records]
        places = [(topic_id, partition, r.offset) for topic_id, partition, r in found if r.value is not None]
        batch = joined([to_batch([r], topic_id, partition, ids=True) for topic_id, partition, r in found])
        rows, failures = await context.trials.counts(mapping, batch)
    page = await context.reads.run(lambda: context.letters.page(export, Selection(most)))
    letters = {
        (one.letter.source.topic_id, one.letter.source.partition, one.letter.event.offset) for one in page.letters
    }
    return TriedReplayAnswer(
        table_id=mapping.table_id,
        ranges=_ranges(span.ranges, with_topics=receiver.pattern is not None),
        offsets=sum(part.count for part in span.ranges),
        deleted_before=list(span.gone) or None,
        tried=len(batch),
        is_whole=sampled.is_whole,
        rows=len(rows),
        failures=len(failures),
        skipped=len(batch) - len(rows) - len(failures),
        mended=sum(places[index] in letters for index in rows),
    )


async def try_requeue(context: Context, export: Export, draft: RequeueDraft) -> TriedReplayAnswer:
    """Of the newest letters; an event that is not in its letter is not tried."""
    mapping = replay_mapping(export, None)
    reason = None if draft.reason is None else Reason(draft.reason)
    selection = Selection(context.settings.max_dry_run_events, reason, draft.since_ms, draft.until_ms)
    with trial_place(context):
        page = await context.reads.run(lambda: context.letters.page(export, selection))
        wanted = _wanted(context, export, draft, page.letters)
        batch = renumbered(events_of([one for one in wanted if one.letter.event.body is not None]))
        rows, failures = await context.trials.counts(mapping, batch)
    offsets = [offset for offset, _ in wanted]
    ranges = [OffsetRange(page.partition, min(offsets), max(offsets) + 1)] if offsets else []
    return TriedReplayAnswer(
        table_id=mapping.table_id,
        ranges=_ranges(ranges),
        offsets=len(wanted),
        tried=len(batch),
        is_whole=page.before is None and len(batch) == len(wanted),
        rows=len(rows),
        failures=len(failures),
        skipped=len(batch) - len(rows) - len(failures),
        mended=len(rows),
    )


def _wanted(
    context: Context, export: Export, draft: RequeueDraft, letters: Sequence[PublishedLetter]
) -> list[LetterAt]:
    """Those of the letters, newest first, that a requeue begun now would be of, in their order."""
    replays = context.catalog.replays_of(export.uid)
    topic = Names(context.settings.topic_prefix).dead_letters
    known = [replay for replay in replays if replay.topic == topic]
    criteria = Criteria(
        export.uid,
        letter_key(export.project_id, export.receiver_id, export.export_id).encode(),
        letters[0].partition if letters else 0,
        draft.reason,
        earlier_requeues(known, known[-1].topic_id) if known else (),
        frozenset(
            r.revision.number for r in replays if r.revision.mapping.table_id != export.revision.mapping.table_id
        ),
    )
    found = [LetterAt(one.offset, one.letter) for one in reversed(letters)]
    return [one for one in found if criteria.wants(one.offset, one.letter)]


def renumbered(batch: EventBatch) -> EventBatch:
    """With indexes for offsets, as trials want it."""
    return EventBatch(list(range(len(batch))), batch.times_ms, batch.ids, batch.ips, batch.bodies, batch.headers)


def _ranges(ranges: Sequence[OffsetRange], *, with_topics: bool = False) -> list[TriedRangeAnswer]:
    return [
        TriedRangeAnswer(
            topic=part.topic if with_topics else None, partition=part.partition, first=part.first, end=part.end
        )
        for part in ranges
    ]
