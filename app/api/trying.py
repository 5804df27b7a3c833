"""Dry runs: what an export, or a mapping that is not saved, makes of sample or real events. Nothing is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.api.answers import as_json
from app.api.context import Context, InContext, TokenHeader
from app.api.dry_runs import MAX_LAST, DryRunPayload, check_source, described_events
from app.api.openapi_gateway import EVENT_BODIES
from app.api.outcomes import DryRunAnswer, read_row, show_outcomes, value_limit
from app.api.payloads import checked_mapping, unknown_fields
from app.api.rules import find_export, find_receiver
from app.api.trials import Crowded
from app.kafka.recent import RecentRecord
from app.mapping.child_process import ChildGone
from app.mapping.children import PoolClosed
from app.model.errors import BadRequest, Overloaded, StreamsError
from app.model.event import EventBatch
from app.model.receiver import Mapping, entity_key

router = APIRouter(prefix="/v1")
_SAMPLE = {
    "requestBody": {
        "description": "The events, as a sender would send them to the receiver's URL. None with `last`.",
        "required": False,
        "content": deepcopy(EVENT_BODIES),
    }
}


class TooSlow(StreamsError):
    """The templates did not come to an end in time."""

    status = 504
    name = "buffer.validationTimeout"


@router.post(
    "/receivers/{receiver_id}/exports/{export_id}/test",
    name="test_export",
    response_model=DryRunAnswer,
    openapi_extra=_SAMPLE,
)
async def try_export(
    receiver_id: str,
    export_id: str,
    request: Request,
    context: InContext,
    token: TokenHeader,
    last: Annotated[int | None, Query(ge=1, le=MAX_LAST, description="Take so many of the newest real events.")] = None,
) -> Response:
    """Show what the export makes of events, and store nothing. The request is the sample: its body and its headers are
    the event's (but X-StorageApi-Token, Authorization, Proxy-Authorization and Cookie, which say who calls), a JSON
    array and NDJSON are many. Or with `last`, and without a body, the receiver's newest events are read from Kafka,
    over all partitions, oldest first: fewer when there are no more, or when they come to 4 MB.

    Values are cut at 16 kB, or shorter where there are very many; `valueBytes` then says how large they are. All
    columns at fault are looked for in the first ten failing events, in others the first.
    """
    caller = await context.enter(token)
    receiver = find_receiver(context.catalog, caller.project_id, receiver_id)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    with trial_place(context):
        body = await request.body()
        records: list[RecentRecord] = []
        if last is None:
            peer = request.client.host if request.client else ""
            entity = entity_key(receiver.project_id, receiver.receiver_id)
            batch = context.samples.sent(body, request.scope["sent_headers"], peer, entity, split=receiver.split)
        elif body:
            raise BadRequest("Give either events in the body or last, not both")
        else:
            batch, records = await context.samples.recent(receiver, last, context.catalog.topics_of(receiver))
        return await _try(context, export.revision.mapping, batch, records)


@router.post("/test", name="test_mapping", response_model=DryRunAnswer)
async def try_mapping(body: DryRunPayload, context: InContext, token: TokenHeader) -> Response:
    """Show what a mapping that is not saved makes of events, and store nothing. It is checked as at the creation of an
    export, but needs no `tableId`. The events are described in the body (`event` or `events`), or are the `last` ones
    of the receiver `receiverId`. The answer is as that to the test of an export.
    """
    check_source(body)
    # Templates take milliseconds.
    mapping = await asyncio.to_thread(checked_mapping, body.mapping, body.filter, context.settings)
    caller = await context.enter(token)
    records: list[RecentRecord] = []
    with trial_place(context):
        if body.receiver_id is not None and body.last is not None:
            receiver = find_receiver(context.catalog, caller.project_id, body.receiver_id)
            batch, records = await context.samples.recent(receiver, body.last, context.catalog.topics_of(receiver))
        else:
            batch = context.samples.described(described_events(body))
        return await _try(context, mapping, batch, records, unknown_fields(body))


async def _try(
    context: Context,
    mapping: Mapping,
    batch: EventBatch,
    records: list[RecentRecord],
    warnings: list[str] | None = None,
) -> Response:
    most = value_limit(len(batch), len(mapping.columns))
    outcomes = await context.trials.outcomes(mapping, batch, lambda csv: read_row(csv, most))
    return as_json(show_outcomes(mapping, outcomes, records, warnings))


@contextmanager
def trial_place(context: Context) -> Iterator[None]:
    """Hold a place among the trials under way, and say in the API's words what may come of it."""
    try:
        with context.trials.place():
            yield
    except Crowded as error:
        text = "Too many validations and tests are under way on this gateway; send the request again later"
        raise Overloaded(text) from error
    except (ChildGone, PoolClosed) as error:
        text = "The process in which this gateway maps for tests does not run; send the request again later"
        raise Overloaded(text) from error
    except TimeoutError as error:
        seconds = context.settings.synchronous_seconds
        raise TooSlow(f"The templates did not come to an end within {seconds:g} s together") from error
