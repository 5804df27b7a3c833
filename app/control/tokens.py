"""Tokens of exports: refreshed in Storage, or made again where Storage does not know them any more; deleted.

Each new one is written to the log before the next is asked for: from Storage's answer until then the sink holds a token
that is dead, and waits. A refresh is repeated by who resumes the task; a token that a dead process made is known by its
description, as in `steps`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from app.api.rules import find_receiver
from app.control.patience import StepFailed, patiently
from app.control.provision import delete_tokens, tokens_in_words
from app.control.records import SealedToken, control_records, tokens_of
from app.control.run import Run
from app.control.steps import Progress, token_description
from app.kafka.transaction import Record
from app.keboola.answers import CreatedToken
from app.keboola.client import StorageClient
from app.keboola.errors import StorageNotFound, StorageUnclear
from app.model.errors import ConfigurationError, StreamsError
from app.model.receiver import Export, Revision, TableId
from app.model.replay import Replay

_IN_PASSING_SECONDS = 10.0
_log = logging.getLogger(__name__)


async def refresh_tokens(run: Run) -> None:
    """Of all revisions that may still have rows on their way, also of exports that are drained."""
    with run.around.storage(run.command.token) as storage:
        if run.progress is None:
            known = await patiently("list the project's tokens", storage.list_tokens, run.make_until)
            described = _descriptions(_exports(run))
            await run.save(Progress(other_tokens=tuple(t.id for t in known if t.description in described)))
        for export in _exports(run):
            for revision in export.revisions:
                made = await _renew_patiently(run, storage, export, revision)
                sealed = SealedToken(made.id, run.around.cipher.encrypt(made.token))
                await run.log.transact(partial(_with_token, run, export.uid, revision.number, sealed))
            for replay in _running(run, export):
                made = await _renew_patiently(run, storage, export, replay.revision)
                sealed = SealedToken(made.id, run.around.cipher.encrypt(made.token))
                await run.log.transact(partial(_with_lane_token, run, replay, sealed))
    await run.succeed("tokens refreshed")


async def delete_spent_tokens(
    run: Run, deleter: bytes, token_ids: Sequence[str], deadline: float
) -> dict[str, StreamsError]:
    """Delete tokens with the token `deleter` (encrypted), until the deadline on the monotonic clock.

    Each by itself, so that one that Storage refuses to delete holds no other back. What is left, and why: StepFailed of
    status 504 where there was no time for it.
    """
    left: dict[str, StreamsError] = {}
    waiting = list(token_ids)
    try:
        with run.around.storage(deleter) as storage:
            async with asyncio.timeout(deadline - time.monotonic()):
                while waiting:
                    try:
                        delete = partial(delete_tokens, storage, waiting[:1])
                        await patiently(f"delete the token {waiting[0]}", delete, deadline)
                    except StepFailed as failure:
                        left[waiting[0]] = failure
                    del waiting[0]
    except ConfigurationError as unreadable:
        left = dict.fromkeys(token_ids, unreadable)
    except TimeoutError:
        late = StepFailed(f"Storage did not delete the token {waiting[0]} in time.", 504)
        left |= dict.fromkeys(waiting, late)
    return left


async def delete_in_passing(run: Run, token_ids: Sequence[str]) -> None:
    """With the caller's token. The caller waits, so that is tried for a moment only; what is left then is named in the
    log.
    """
    until = time.monotonic() + _IN_PASSING_SECONDS
    say_left(run, await delete_spent_tokens(run, run.command.token, token_ids, until))


def say_left(run: Run, left: Mapping[str, StreamsError]) -> None:
    """In the log: tokens that a person must delete, since nothing uses them or waits for that."""
    if left:
        trouble = next(iter(left.values())).message
        _log.warning("task %s: delete %s by hand: %s", run.task.task_id, tokens_in_words(list(left)), trouble)


def _exports(run: Run) -> list[Export]:
    receiver = find_receiver(run.catalog, run.task.project_id, run.task.receiver_id)
    drained = [d.export for d in run.catalog.draining.values() if d.export.receiver_uid == receiver.uid]
    return [*run.catalog.exports_of(receiver), *drained]


def _running(run: Run, export: Export) -> list[Replay]:
    return [replay for replay in run.catalog.replays_of(export.uid) if not replay.is_finished]


def _descriptions(exports: Sequence[Export]) -> set[str]:
    return {token_description(export.receiver_id, export.export_id) for export in exports}


def _kept(run: Run) -> set[str]:
    """Ids of the tokens that are in use, or that were there before the task and are not its own."""
    progress = run.progress or Progress()
    lanes = (replay.revision.token_id for replay in run.catalog.running_replays())
    return {*tokens_of(run.catalog.exports_by_uid.values()), *lanes, *progress.other_tokens}


async def _renew_patiently(run: Run, storage: StorageClient, export: Export, revision: Revision) -> CreatedToken:
    """Raises StepFailed. An answer that never came may have been the one with the export's only token that works."""
    words = f'refresh the token of the export "{export.export_id}"'
    kept, in_doubt = _kept(run), False

    def renew() -> CreatedToken:
        nonlocal in_doubt
        try:
            return _renew(storage, export, revision, kept)
        except StorageUnclear:
            in_doubt = True
            raise

    try:
        return await patiently(words, renew, run.make_until)
    except StepFailed as failure:
        hint = "The export may have no valid token until the tokens are refreshed again; its events wait for that."
        message = f"{failure.message} {hint}" if in_doubt else failure.message
        raise StepFailed(message, failure.status, failure.name) from failure


def _renew(storage: StorageClient, export: Export, revision: Revision, kept: set[str]) -> CreatedToken:
    """Runs in a thread, where the catalog must not be read; may be repeated."""
    try:
        return storage.refresh_token(revision.token_id)
    except StorageNotFound:
        pass
    description = token_description(export.receiver_id, export.export_id)
    left = [t.id for t in storage.list_tokens() if t.description == description and t.id not in kept]
    delete_tokens(storage, left)
    bucket_id = TableId.parse(revision.mapping.table_id).bucket_id
    return storage.create_token(description, {bucket_id: "write"}, can_read_all_file_uploads=True)


def _with_lane_token(run: Run, replay: Replay, token: SealedToken) -> list[Record]:
    """Nothing when the replay is over by now."""
    now = next((r for r in run.catalog.replays_of(replay.export_uid) if r.lane == replay.lane), None)
    if now is None or now.is_finished:
        return []
    revision = replace(now.revision, token_id=token.token_id, token=token.token)
    return control_records(run.log.names, [replace(now, revision=revision)])


def _with_token(run: Run, uid: str, number: int, token: SealedToken) -> list[Record]:
    """Nothing when the revision is over by now."""
    export, draining = run.catalog.exports_by_uid.get(uid), run.catalog.draining.get(uid)
    if export is None or export.find_revision(number) is None:
        return []
    revisions = tuple(
        replace(r, token_id=token.token_id, token=token.token) if r.number == number else r for r in export.revisions
    )
    export = replace(export, revisions=revisions)
    return control_records(run.log.names, [export if draining is None else replace(draining, export=export)])
