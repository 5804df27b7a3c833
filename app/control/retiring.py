"""Ending what the sink says is over: revisions with nothing on their way, replays, and exports that are drained.

Their tokens are deleted in Storage with the token of who ended them, and the topic of a deleted receiver if that was
asked for. All of it may be done twice. Source: delivery protocol, rules 18 and 20.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from confluent_kafka import KafkaException

from app.api.drafts import Retirement, load_draft
from app.control.claims import is_drained, is_there
from app.control.records import Ended
from app.control.replaying import finished
from app.control.run import Run, now_ms
from app.control.tokens import delete_spent_tokens, say_left
from app.control.topics import delete_topic, ends_or_gone
from app.kafka.codec import ControlValue
from app.model.binding import Binding
from app.model.receiver import Draining, Export, Revision
from app.model.replay import Replay, forgettable

_SECONDS = 10.0
PATIENCE_SECONDS = 10.0
"""How long Storage is waited for: what people ask of the project waits behind this, and the sink reports again."""


async def retire_revisions(run: Run) -> None:
    """The last revision of an export that is not deleted stays in any case. Fails while Storage or Kafka is away."""
    asked = load_draft(Retirement, run.command.payload)
    export = run.catalog.exports_by_uid.get(asked.uid)
    spent = [] if export is None else _spent(run, export, asked)
    lanes = [replay for replay in run.catalog.replays_of(asked.uid) if _ends(replay, asked)]
    if export is None or not (spent or lanes):
        await run.succeed("nothing to retire")
        return
    over = {replay.lane: _finished(replay, asked, await _note(run, replay, asked)) for replay in lanes}
    for replay in lanes:
        await _delete(run, replay.begun_by, [replay.revision.token_id])
    if export.ended_by is not None:
        await _delete(run, export.ended_by, [revision.token_id for revision in spent])
    draining = run.catalog.draining.get(asked.uid)
    if draining is not None and len(spent) == len(export.revisions) and _topic_goes(run, draining):
        await delete_topic(run.around.admin, draining.topic, draining.topic_id)
    numbers = {revision.number for revision in spent}

    def left() -> Export | None:
        """The export without them; None when it is gone, or nothing of it is left."""
        now = run.catalog.exports_by_uid.get(asked.uid)
        revisions = tuple(r for r in now.revisions if r.number not in numbers) if now is not None else ()
        if now is None or not revisions:
            return None
        drained = asked.uid in run.catalog.draining
        return replace(now, revisions=revisions, ended_by=now.ended_by if drained or len(revisions) > 1 else None)

    def entities() -> list[ControlValue]:
        export, draining = left(), run.catalog.draining.get(asked.uid)
        if export is None:
            return []
        ends = [over[replay.lane] for replay in run.catalog.replays_of(asked.uid) if replay.lane in over]
        return [*ends, export if draining is None else replace(draining, export=export)]

    def ended() -> list[Ended]:
        draining = run.catalog.draining.get(asked.uid)
        if draining is None or left() is not None:
            replays = run.catalog.replays_of(asked.uid)
            return [*forgettable(replays, now_ms(), run.limits.replays_kept_ms)]
        return [draining, *run.catalog.replays_of(asked.uid), *_free_claims(run, draining)]

    await run.succeed("revisions retired", entities, ended)
    await _forget_progress(run, lanes)


async def _forget_progress(run: Run, lanes: Sequence[Replay]) -> None:
    """What the mapper kept of how far it was. Kafka forgets it by itself, if later: a failure is nobody's trouble."""
    groups = [run.log.names.replay_group(replay.lane) for replay in lanes]
    if groups:
        answers = run.around.admin.delete_consumer_groups(groups, request_timeout=_SECONDS)
        with suppress(KafkaException, TimeoutError):
            await asyncio.to_thread(lambda: [answer.result(_SECONDS) for answer in answers.values()])


async def _delete(run: Run, deleter: bytes, token_ids: Sequence[str]) -> None:
    deadline = min(run.make_until, time.monotonic() + PATIENCE_SECONDS)
    undeleted = await delete_spent_tokens(run, deleter, token_ids, deadline)
    for trouble in undeleted.values():
        if trouble.status == 504:
            raise trouble  # the sink reports again
    say_left(run, undeleted)


def _ends(replay: Replay, asked: Retirement) -> bool:
    return replay.revision.number in asked.revisions and not replay.is_finished


def _finished(replay: Replay, asked: Retirement, note: str | None = None) -> Replay:
    result = next((r for r in asked.results if r.revision == replay.revision.number), None)
    return finished(replay, result.rows if result else 0, result.failures if result else 0, note)


async def _note(run: Run, replay: Replay, asked: Retirement) -> str | None:
    """Why whoever maps has left out the rest, when not all of its offsets became something and there is a reason.

    Ids of topics never come back, so what a mapper found to be gone is gone now. Raises KafkaUnavailable.
    """
    if not _finished(replay, asked).skipped:
        return None
    if replay.is_cancelled:
        return "It was cancelled: what was not mapped before is left out."
    topics = sorted({replay.topic_of(part) for part in replay.ranges})
    gone = [name for name, topic_id in topics if await ends_or_gone(run.around.admin, name, topic_id) is None]
    return f"Topic {', '.join(gone)} is gone: what was not mapped before is left out." if gone else None


def _spent(run: Run, export: Export, asked: Retirement) -> list[Revision]:
    in_force = None if export.uid in run.catalog.draining else export.revision.number
    return [r for r in export.revisions if r.number in asked.revisions and r.number != in_force]


def _free_claims(run: Run, draining: Draining) -> list[Binding]:
    """What the receiver was bound to, when this is the last of it."""
    uid = draining.export.receiver_uid
    claims = [] if is_drained(run.catalog, uid, draining.export.uid) else run.catalog.bindings_of(uid)
    return [claim for claim in claims if not is_there(run.catalog, claim)]


def _topic_goes(run: Run, draining: Draining) -> bool:
    """Whether this is the last that is drained from a topic that was to be deleted, and that nobody uses again."""
    others = [other for other in run.catalog.draining_from(draining.topic) if other.export.uid != draining.export.uid]
    return draining.delete_topic and not others and draining.topic not in run.catalog.receivers_by_topic
