"""Receivers: create, list, show, change, delete; the tokens of their exports."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.answers import ReceiverAnswer, ReceiversAnswer, TaskAnswer, as_json, show_receiver
from app.api.auth import Caller
from app.api.context import Context, InContext, TokenHeader
from app.api.drafts import Deletion, Rotation, SignatureChange, dump_draft
from app.api.payloads import ReceiverPatch, ReceiverPayload, receiver_change, receiver_draft, unknown_fields
from app.api.rules import check_deletion, check_receiver_change, check_receiver_create, find_receiver
from app.api.signing import read_duration
from app.api.tasks import run_task, start_task
from app.model.errors import BadRequest
from app.model.receiver import Receiver
from app.model.task import TaskType, new_task

MAX_OVERLAP_SECONDS = 720 * 3600.0
"""How long two secrets of a receiver may be in force."""

router = APIRouter(prefix="/v1/receivers")


@router.post("", status_code=202, response_model_exclude_none=True)
async def create_receiver(body: ReceiverPayload, context: InContext, token: TokenHeader) -> TaskAnswer:
    """Create a receiver with its first exports, by a task."""
    seal = context.cipher.encrypt
    draft = await asyncio.to_thread(receiver_draft, body, context.settings, seal)  # templates take milliseconds each
    SignatureChange(draft.signature).applied_to(None)
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_receiver_create(context.catalog, running, context.limits, caller.project_id, draft)
    task = new_task(caller.project_id, TaskType.RECEIVER_CREATE, draft.receiver_id)
    return await start_task(context, caller, task, dump_draft(draft), unknown_fields(body))


@router.get("", response_model=ReceiversAnswer)
async def list_receivers(context: InContext, token: TokenHeader) -> Response:
    """The project's receivers, by id."""
    caller = await context.enter(token)
    receivers = [_show(context, receiver) for receiver in context.catalog.receivers_of(caller.project_id)]
    return as_json(ReceiversAnswer(receivers=receivers))


@router.get("/{receiver_id}", response_model_exclude_none=True)
async def get_receiver(receiver_id: str, context: InContext, token: TokenHeader) -> ReceiverAnswer:
    """One receiver, with its import URL."""
    caller = await context.enter(token)
    return _show(context, find_receiver(context.catalog, caller.project_id, receiver_id))


@router.patch("/{receiver_id}", response_model_exclude_none=True)
async def update_receiver(
    receiver_id: str, body: ReceiverPatch, context: InContext, token: TokenHeader
) -> ReceiverAnswer:
    """Change a receiver's name or description, whether bodies are split, or what it demands of senders. That is in
    force on every gateway within moments of the answer.
    """
    change = await asyncio.to_thread(receiver_change, body, receiver_id, context.cipher.encrypt)
    caller = await _enter_to_change(context, token, receiver_id)
    change.applied_to(find_receiver(context.catalog, caller.project_id, receiver_id))
    task = new_task(caller.project_id, TaskType.RECEIVER_UPDATE, receiver_id)
    await run_task(context, caller, task, dump_draft(change))
    return _show(context, find_receiver(context.catalog, caller.project_id, receiver_id))


@router.delete("/{receiver_id}", status_code=200)
async def delete_receiver(
    receiver_id: str,
    context: InContext,
    token: TokenHeader,
    discard: Annotated[bool, Query(description="Drop what was accepted and is not imported yet.")] = False,
    delete_topic: Annotated[
        bool, Query(alias="deleteTopic", description="Delete the topic too, once nothing is drained from it.")
    ] = False,
) -> Response:
    """Delete a receiver and its exports: it takes no event from now on. What was accepted is still brought into the
    tables, unless it is to be discarded. The tables stay; so does the topic, unless it is to be deleted.
    """
    if delete_topic and context.settings.topics == "managed":
        raise BadRequest("Topics are the operators' here (STREAMS_TOPICS=managed); leave deleteTopic out.")
    caller = await _enter_to_change(context, token, receiver_id)
    if delete_topic and find_receiver(context.catalog, caller.project_id, receiver_id).is_bound:
        raise BadRequest("The receiver is bound to a topic that is not ours to delete; leave deleteTopic out.")
    check_deletion(context.catalog, (), caller.project_id, receiver_id, None, discard=discard)
    task = new_task(caller.project_id, TaskType.RECEIVER_DELETE, receiver_id)
    await run_task(context, caller, task, dump_draft(Deletion(discard, delete_topic)))
    return Response()


@router.post("/{receiver_id}/tokens/refresh", response_model_exclude_none=True)
async def refresh_tokens(receiver_id: str, context: InContext, token: TokenHeader) -> ReceiverAnswer:
    """Give every export of the receiver a new token; one that Storage does not know any more is made again."""
    caller = await _enter_to_change(context, token, receiver_id)
    await run_task(context, caller, new_task(caller.project_id, TaskType.TOKENS_REFRESH, receiver_id), "{}")
    return _show(context, find_receiver(context.catalog, caller.project_id, receiver_id))


@router.post("/{receiver_id}/secret/rotate", response_model_exclude_none=True)
async def rotate_secret(
    receiver_id: str,
    context: InContext,
    token: TokenHeader,
    overlap: Annotated[
        str,
        Query(description="How long the secret before is taken too, 0s to 720h; with 0s no sender has it any more."),
    ] = "24h",
) -> ReceiverAnswer:
    """Give the receiver a new secret, and so a new import URL; the one before works beside it for a while. Of three
    secrets the oldest ends at once.
    """
    rotation = Rotation(read_duration(overlap, "query.overlap", 0, MAX_OVERLAP_SECONDS))
    caller = await _enter_to_change(context, token, receiver_id)
    if find_receiver(context.catalog, caller.project_id, receiver_id).is_bound:
        raise BadRequest("The receiver reads a topic that is there already; it has no secret that senders know.")
    task = new_task(caller.project_id, TaskType.RECEIVER_ROTATE, receiver_id)
    await run_task(context, caller, task, dump_draft(rotation))
    return _show(context, find_receiver(context.catalog, caller.project_id, receiver_id))


async def _enter_to_change(context: Context, token: str, receiver_id: str) -> Caller:
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_receiver_change(context.catalog, running, caller.project_id, receiver_id)
    return caller


def _show(context: Context, receiver: Receiver) -> ReceiverAnswer:
    exports = context.catalog.exports_of(receiver)
    topics = context.catalog.topics_of(receiver)
    return show_receiver(receiver, exports, context.settings.public_address, context.cipher.decrypt, topics)
