"""Exports of a receiver: create, list, show, change, delete."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.api.answers import ExportAnswer, ExportsAnswer, TaskAnswer, show_export
from app.api.context import InContext, TokenHeader
from app.api.drafts import Deletion, dump_draft
from app.api.payloads import ExportPatch, ExportPayload, export_change, export_draft, unknown_fields
from app.api.replay_rules import check_export_resume
from app.api.rules import (
    check_deletion,
    check_export_create,
    check_export_pause,
    check_export_update,
    find_export,
    find_receiver,
)
from app.api.tasks import run_task, start_task
from app.model.task import TaskType, new_task

router = APIRouter(prefix="/v1/receivers/{receiver_id}/exports")


@router.post("", status_code=202, response_model_exclude_none=True)
async def create_export(receiver_id: str, body: ExportPayload, context: InContext, token: TokenHeader) -> TaskAnswer:
    """Create an export, by a task; it takes the events that come after."""
    draft = await asyncio.to_thread(export_draft, body, context.settings)  # templates take milliseconds each
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_export_create(context.catalog, running, context.limits, caller.project_id, receiver_id, draft)
    task = new_task(caller.project_id, TaskType.EXPORT_CREATE, receiver_id, draft.export_id)
    return await start_task(context, caller, task, dump_draft(draft), unknown_fields(body))


@router.get("", response_model_exclude_none=True)
async def list_exports(receiver_id: str, context: InContext, token: TokenHeader) -> ExportsAnswer:
    """The receiver's exports, by id."""
    caller = await context.enter(token)
    receiver = find_receiver(context.catalog, caller.project_id, receiver_id)
    return ExportsAnswer(exports=[show_export(export) for export in context.catalog.exports_of(receiver)])


@router.get("/{export_id}", response_model_exclude_none=True)
async def get_export(receiver_id: str, export_id: str, context: InContext, token: TokenHeader) -> ExportAnswer:
    """One export."""
    caller = await context.enter(token)
    return show_export(find_export(context.catalog, caller.project_id, receiver_id, export_id))


@router.patch("/{export_id}", response_model_exclude_none=True)
async def update_export(
    receiver_id: str, export_id: str, body: ExportPatch, context: InContext, token: TokenHeader
) -> TaskAnswer:
    """Change an export, by a task. A mapping begins a new revision: events that come after the task has succeeded are
    mapped by it, those before go to their table as they were mapped.
    """
    change = await asyncio.to_thread(export_change, body, context.settings)  # templates take milliseconds each
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_export_update(context.catalog, running, context.limits, caller.project_id, receiver_id, export_id, change)
    task = new_task(caller.project_id, TaskType.EXPORT_UPDATE, receiver_id, export_id)
    return await start_task(context, caller, task, dump_draft(change), unknown_fields(body))


@router.delete("/{export_id}", status_code=200)
async def delete_export(
    receiver_id: str,
    export_id: str,
    context: InContext,
    token: TokenHeader,
    discard: Annotated[bool, Query(description="Drop what was accepted and is not imported yet.")] = False,
) -> Response:
    """Delete an export: it takes no event from now on. What was accepted is still brought into the table, unless it is
    to be discarded. The table stays.
    """
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_deletion(context.catalog, running, caller.project_id, receiver_id, export_id, discard=discard)
    task = new_task(caller.project_id, TaskType.EXPORT_DELETE, receiver_id, export_id)
    await run_task(context, caller, task, dump_draft(Deletion(discard)))
    return Response()


@router.post("/{export_id}/pause", status_code=202, response_model_exclude_none=True)
async def pause_export(receiver_id: str, export_id: str, context: InContext, token: TokenHeader) -> TaskAnswer:
    """Suspend an export, by a task: its events are mapped no further and wait in Kafka, for as long as Kafka keeps
    them. What is mapped already goes to its table. Other exports of the receiver go on.
    """
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_export_pause(context.catalog, running, context.limits, caller.project_id, receiver_id, export_id)
    task = new_task(caller.project_id, TaskType.EXPORT_PAUSE, receiver_id, export_id)
    return await start_task(context, caller, task, "{}")


@router.post("/{export_id}/resume", status_code=202, response_model_exclude_none=True)
async def resume_export(receiver_id: str, export_id: str, context: InContext, token: TokenHeader) -> TaskAnswer:
    """Resume an export, by a task: events that come from now on are mapped as they arrive, and those that waited beside
    them, by the mapping in force, each exactly once. The task's result names the replay that does it.
    """
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_export_resume(context.catalog, running, context.limits, caller.project_id, receiver_id, export_id)
    task = new_task(caller.project_id, TaskType.EXPORT_RESUME, receiver_id, export_id)
    return await start_task(context, caller, task, "{}")
