"""Receivers: create, list, show, delete."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response

from app.api.answers import ReceiverAnswer, ReceiversAnswer, TaskAnswer, show_receiver
from app.api.context import Context, InContext, TokenHeader
from app.api.drafts import dump_draft
from app.api.payloads import ReceiverPayload, receiver_draft, unknown_fields
from app.api.rules import check_receiver_create, check_receiver_delete, find_receiver
from app.api.tasks import new_task, run_task, start_task
from app.model.receiver import Receiver
from app.model.task import TaskType

router = APIRouter(prefix="/v1/receivers")


@router.post("", status_code=202, response_model_exclude_none=True)
async def create_receiver(body: ReceiverPayload, context: InContext, token: TokenHeader) -> TaskAnswer:
    """Create a receiver with its first exports, by a task."""
    draft = await asyncio.to_thread(receiver_draft, body, context.settings)  # templates take milliseconds each
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_receiver_create(context.catalog, running, context.limits, caller.project_id, draft)
    task = new_task(caller, TaskType.RECEIVER_CREATE, draft.receiver_id)
    return await start_task(context, caller, task, dump_draft(draft), unknown_fields(body))


@router.get("", response_model_exclude_none=True)
async def list_receivers(context: InContext, token: TokenHeader) -> ReceiversAnswer:
    """The project's receivers, by id."""
    caller = await context.enter(token)
    return ReceiversAnswer(receivers=[_show(context, r) for r in context.catalog.receivers_of(caller.project_id)])


@router.get("/{receiver_id}", response_model_exclude_none=True)
async def get_receiver(receiver_id: str, context: InContext, token: TokenHeader) -> ReceiverAnswer:
    """One receiver, with its import URL."""
    caller = await context.enter(token)
    return _show(context, find_receiver(context.catalog, caller.project_id, receiver_id))


@router.delete("/{receiver_id}", status_code=200)
async def delete_receiver(receiver_id: str, context: InContext, token: TokenHeader) -> Response:
    """Delete a receiver and its exports. What was accepted but not imported yet is discarded; the topic, the tables
    and what is in them stay.
    """
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_receiver_delete(context.catalog, running, caller.project_id, receiver_id)
    await run_task(context, caller, new_task(caller, TaskType.RECEIVER_DELETE, receiver_id), "{}")
    return Response()


def _show(context: Context, receiver: Receiver) -> ReceiverAnswer:
    secret = context.cipher.decrypt(receiver.secret)
    return show_receiver(receiver, context.catalog.exports_of(receiver), context.settings.public_address, secret)
