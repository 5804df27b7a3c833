"""Replays of an export: a range of its past events, mapped again by the mapping in force."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import Field, StrictStr

from app.api.answers import TaskAnswer, as_json
from app.api.context import Context, InContext, TokenHeader
from app.api.dead_letters import time_of
from app.api.drafts import Cancelling, ReplayDraft, dump_draft
from app.api.payloads import unknown_fields
from app.api.problems import Payload
from app.api.queries import DryRun
from app.api.replay_answers import ReplayAnswer, ReplaysAnswer, show_replay
from app.api.replay_rules import check_replay_cancel, check_replay_create, find_replay
from app.api.replay_trials import TriedReplayAnswer, try_replay
from app.api.rules import find_export, find_receiver
from app.api.tasks import run_task, start_task
from app.kafka.replay_progress import replay_progress
from app.model.errors import BadRequest, clipped
from app.model.receiver import TableId
from app.model.replay import KEPT_REPLAYS, Replay
from app.model.task import TaskType, new_task

router = APIRouter(prefix="/v1/receivers/{receiver_id}/exports/{export_id}")


class ReplayPayload(Payload):
    """Events received from one time to before another; without a table they go to the export's own."""

    from_: Annotated[StrictStr, Field(alias="from")]
    to: StrictStr
    table_id: StrictStr | None = None


@router.post(
    "/replay",
    status_code=202,
    response_model=TaskAnswer,
    response_model_exclude_none=True,
    responses={200: {"model": TriedReplayAnswer, "description": "What a replay would come to (`dryRun`)."}},
)
async def create_replay(
    receiver_id: str,
    export_id: str,
    body: ReplayPayload,
    context: InContext,
    token: TokenHeader,
    dry_run: DryRun = False,
) -> TaskAnswer | Response:
    """Map the retained events of a range of time again, by the mapping in force, into the export's table or another
    one; by a task, whose result names the replay. Each event is a row once more: in a table without a primary key it is
    there beside the row of the first time.

    With `dryRun` nothing is begun or stored: the first events (1,000, unless set otherwise) are mapped on trial.
    """
    draft = _draft(body)
    caller = await context.enter(token)
    running = [] if dry_run else context.running.of_project(caller.project_id)
    place = caller.project_id, receiver_id, export_id
    check_replay_create(context.catalog, running, context.limits, *place, draft.table_id)
    if dry_run:
        receiver = find_receiver(context.catalog, caller.project_id, receiver_id)
        return as_json(await try_replay(context, find_export(context.catalog, *place), receiver, draft))
    task = new_task(caller.project_id, TaskType.REPLAY_CREATE, receiver_id, export_id)
    return await start_task(context, caller, task, dump_draft(draft), unknown_fields(body))


@router.get("/replays", response_model_exclude_none=True)
async def list_replays(receiver_id: str, export_id: str, context: InContext, token: TokenHeader) -> ReplaysAnswer:
    """The export's replays, newest first; of one that is under way, `GET .../replays/{replayId}` says how far it is."""
    caller = await context.enter(token)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    newest = reversed(context.catalog.replays_of(export.uid)[-KEPT_REPLAYS:])
    return ReplaysAnswer(replays=[show_replay(replay, {}) for replay in newest])


@router.get("/replays/{replay_id}", response_model_exclude_none=True)
async def get_replay(
    receiver_id: str, export_id: str, replay_id: str, context: InContext, token: TokenHeader
) -> ReplayAnswer:
    """One replay, and how far it is."""
    caller = await context.enter(token)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    replay = find_replay(context.catalog, export, replay_id)
    return show_replay(replay, {} if replay.is_finished else await _progress(context, replay))


@router.delete("/replays/{replay_id}", response_model_exclude_none=True)
async def cancel_replay(
    receiver_id: str, export_id: str, replay_id: str, context: InContext, token: TokenHeader
) -> ReplayAnswer:
    """Cancel a replay that is under way: no more of its events are mapped. What is mapped already comes into the table,
    of each partition what lies before some offset; the export's batches say which (`sources`). The rest is left out.

    A replay that a resume began, or a requeue, cannot be cancelled: its events would be lost.
    """
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    place = caller.project_id, receiver_id, export_id
    check_replay_cancel(context.catalog, running, *place, replay_id)
    task = new_task(caller.project_id, TaskType.REPLAY_CANCEL, receiver_id, export_id)
    await run_task(context, caller, task, dump_draft(Cancelling(replay_id)))
    return show_replay(find_replay(context.catalog, find_export(context.catalog, *place), replay_id), {})


async def _progress(context: Context, replay: Replay) -> dict[tuple[str, int], int]:
    return await context.reads.run(lambda: replay_progress(context.settings, replay))


def _draft(body: ReplayPayload) -> ReplayDraft:
    """Raises BadRequest."""
    from_ms, to_ms = time_of("from", body.from_, "body"), time_of("to", body.to, "body")
    assert from_ms is not None
    assert to_ms is not None
    if from_ms >= to_ms:
        raise BadRequest("body.from must be before body.to")
    if to_ms > time.time_ns() // 1_000_000:
        raise BadRequest(f'body.to must not be in the future but got value "{clipped(body.to)}"')
    if body.table_id is not None:
        TableId.parse(body.table_id)
    return ReplayDraft(from_ms, to_ms, body.table_id)
