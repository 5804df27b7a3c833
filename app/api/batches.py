"""The batches of an export: what was gathered, and how its import went."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.answers import TaskAnswer
from app.api.batch_answers import BatchAnswer, BatchesAnswer, BatchFileAnswer, show_batch, show_file
from app.api.context import Context, InContext, TokenHeader
from app.api.drafts import Retry, dump_draft
from app.api.queries import word_of
from app.api.rules import check_export_change, find_export
from app.api.tasks import start_task
from app.model.errors import Conflict, NotFound, clipped
from app.model.ledger import BatchRecord, Phase
from app.model.receiver import Export
from app.model.task import TaskType, new_task

MAX_LIMIT = 100

router = APIRouter(prefix="/v1/receivers/{receiver_id}/exports/{export_id}/batches")


@router.get("", response_model_exclude_none=True)
async def list_batches(
    receiver_id: str,
    export_id: str,
    context: InContext,
    token: TokenHeader,
    phase: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = MAX_LIMIT,
) -> BatchesAnswer:
    """The export's batches, newest first: each is one file that is imported as a whole. One is there as soon as rows
    of it were staged; it is forgotten 7 days after its import.

    One call reads a bounded part of the sink's ledger; `hasMore` says whether there are, or may be, older ones.
    """
    wanted = word_of(Phase, phase, "query.phase")
    caller = await context.enter(token)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    found = await context.reads.run(lambda: context.batches.read(export))
    batches = [batch for batch in found.batches if wanted in (None, batch.phase)]
    has_more = len(batches) > limit or not found.is_complete
    return BatchesAnswer(batches=[show_batch(batch) for batch in batches[:limit]], has_more=has_more)


@router.get("/{batch_id}", response_model_exclude_none=True)
async def get_batch(
    receiver_id: str, export_id: str, batch_id: str, context: InContext, token: TokenHeader
) -> BatchAnswer:
    """One batch."""
    caller = await context.enter(token)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    return show_batch(await _find(context, export, batch_id))


@router.get("/{batch_id}/file", response_model_exclude_none=True)
async def get_batch_file(
    receiver_id: str, export_id: str, batch_id: str, context: InContext, token: TokenHeader
) -> BatchFileAnswer:
    """Where the rows of a batch are: the gzipped slices, in order, of a file in Storage, CSV without a header line.

    The rows themselves are read from Storage, with the file's credentials (`files/{id}?federationToken=1`); a slice is
    the object whose key is the file's with the slice's name behind it.
    """
    caller = await context.enter(token)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    batch = await _find(context, export, batch_id)
    return show_file(batch, export.find_revision(batch.revision))


@router.post("/{batch_id}/retry", status_code=202, response_model_exclude_none=True)
async def retry_batch(
    receiver_id: str, export_id: str, batch_id: str, context: InContext, token: TokenHeader
) -> TaskAnswer:
    """Import a batch again that failed (now instead of later), has expired, or is unclear: then look first what the
    failed job put into the table, since those rows would be there twice. A batch that went on meanwhile is left alone.

    Later batches may be in the table already: with a full load (`incremental` is false) this one replaces them.
    """
    caller = await context.enter(token)
    running = context.running.of_project(caller.project_id)
    check_export_change(context.catalog, running, caller.project_id, receiver_id, export_id)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    batch = await _find(context, export, batch_id)
    if not batch.is_retriable:
        raise Conflict(
            f'Batch "{batch.batch_id}" is {batch.phase}; only one that is failed, expired or unclear can be retried.',
            "buffer.batchNotRetriable",
        )
    task = new_task(caller.project_id, TaskType.BATCH_RETRY, receiver_id, export_id)
    return await start_task(context, caller, task, dump_draft(Retry(batch.batch_id, batch.attempt_ms)))


async def _find(context: Context, export: Export, batch_id: str) -> BatchRecord:
    found = await context.reads.run(lambda: context.batches.find(export, batch_id))
    if found is None:
        raise NotFound(f'Batch "{clipped(batch_id)}" not found in the export.', "buffer.batchNotFound")
    return found
