"""The dead letters of an export: what it could not map, why, and the events themselves."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import StrictStr

from app.api.answers import TaskAnswer, as_json
from app.api.context import InContext, TokenHeader
from app.api.drafts import RequeueDraft, dump_draft
from app.api.letter_answers import (
    DeadLetterAnswer,
    DeadLettersAnswer,
    PageAnswer,
    read_cursor,
    read_letter_id,
    show_letter,
    write_cursor,
)
from app.api.payloads import unknown_fields
from app.api.problems import Payload
from app.api.queries import DryRun, word_of
from app.api.replay_rules import check_replay_create
from app.api.replay_trials import TriedReplayAnswer, try_requeue
from app.api.rules import find_export
from app.api.tasks import start_task
from app.kafka.dead_letters import Selection
from app.model.errors import BadRequest, NotFound, clipped
from app.model.event import Reason
from app.model.task import TaskType, new_task

MAX_LIMIT = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII)

router = APIRouter(prefix="/v1/receivers/{receiver_id}/exports/{export_id}/dead-letters")


@router.get("", response_model=DeadLettersAnswer)
async def list_dead_letters(
    receiver_id: str,
    export_id: str,
    context: InContext,
    token: TokenHeader,
    reason: Annotated[str | None, Query()] = None,
    since: Annotated[str | None, Query()] = None,
    until: Annotated[str | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = MAX_LIMIT,
    after: Annotated[str | None, Query()] = None,
) -> Response:
    """The events that the export could not map, newest first, a page at a time. Bodies are cut to their first KiB;
    the letter alone has all of it.

    One call reads a bounded part of the topic of all dead letters, so a page may have fewer letters than `limit`, even
    none, and more may follow: as long as there is `page.after`, give it as `after` to go on.
    """
    partition, before = _place(after)
    selection = Selection(
        limit, word_of(Reason, reason, "query.reason"), time_of("since", since), time_of("until", until), before
    )
    caller = await context.enter(token)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    try:
        page = await context.reads.run(lambda: context.letters.page(export, selection, partition))
    except ValueError:
        raise _not_a_cursor(after or "") from None
    following = None if page.before is None else write_cursor(page.partition, page.before)
    letters = [show_letter(letter, whole=False) for letter in page.letters]
    return as_json(DeadLettersAnswer(dead_letters=letters, page=PageAnswer(limit=limit, after=following)))


class RequeuePayload(Payload):
    """Which letters; without any of it all."""

    reason: StrictStr | None = None
    since: StrictStr | None = None
    until: StrictStr | None = None


@router.post(
    "/requeue",
    status_code=202,
    response_model=TaskAnswer,
    response_model_exclude_none=True,
    responses={200: {"model": TriedReplayAnswer, "description": "What a requeue would come to (`dryRun`)."}},
)
async def requeue_dead_letters(
    receiver_id: str,
    export_id: str,
    body: RequeuePayload,
    context: InContext,
    token: TokenHeader,
    dry_run: DryRun = False,
) -> TaskAnswer | Response:
    """Map dead letters again, by the mapping in force, in order and each once: by a task, whose result names the replay
    that does it. Those that were requeued before are left out, and so are those that stand for a batch, and those of a
    replay into another table. What fails again is a dead letter again.

    With `dryRun` nothing is begun or stored: the newest 1,000 letters are mapped on trial.
    """
    reason = word_of(Reason, body.reason, "body.reason")
    draft = RequeueDraft(reason, time_of("since", body.since, "body"), time_of("until", body.until, "body"))
    caller = await context.enter(token)
    running = [] if dry_run else context.running.of_project(caller.project_id)
    place = caller.project_id, receiver_id, export_id
    check_replay_create(context.catalog, running, context.limits, *place, None)
    if dry_run:
        return as_json(await try_requeue(context, find_export(context.catalog, *place), draft))
    task = new_task(caller.project_id, TaskType.DEAD_LETTERS_REQUEUE, receiver_id, export_id)
    return await start_task(context, caller, task, dump_draft(draft), unknown_fields(body))


@router.get("/{letter_id}", response_model=DeadLetterAnswer)
async def get_dead_letter(
    receiver_id: str, export_id: str, letter_id: str, context: InContext, token: TokenHeader
) -> Response:
    """One dead letter with its whole event."""
    caller = await context.enter(token)
    export = find_export(context.catalog, caller.project_id, receiver_id, export_id)
    place = read_letter_id(letter_id)
    found = None if place is None else await context.reads.run(lambda: context.letters.find(export, *place))
    if found is None:
        raise NotFound(f'Dead letter "{clipped(letter_id)}" not found in the export.', "buffer.deadLetterNotFound")
    return as_json(show_letter(found, whole=True))


def time_of(name: str, text: str | None, place: str = "query") -> int | None:
    """Milliseconds of a time in ISO 8601; without a zone it is UTC, a date alone its midnight. Raises BadRequest.

    >>> time_of("since", "1970-01-02T00:00:00.5+01:00")
    82800500
    """
    if text is None:
        return None
    try:
        if not _ISO.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text.upper().replace(":60", ":59"))  # a leap second
    except ValueError:
        raise BadRequest(
            f'{place}.{name} must be a time in ISO 8601 such as "2026-01-02T03:04:05Z" but got value "{clipped(text)}"'
        ) from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)


def _place(after: str | None) -> tuple[int | None, int | None]:
    """The partition of a page and the offset below which it goes on."""
    if after is None:
        return None, None
    place = read_cursor(after)
    if place is None:
        raise _not_a_cursor(after)
    return place


def _not_a_cursor(text: str) -> BadRequest:
    return BadRequest(f'query.after must be the page.after of an answer but got value "{clipped(text)}"')
