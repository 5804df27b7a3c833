"""Carrying the steps out in Storage: one call at a time, in threads, tried again while Storage has trouble.

What to do is `steps`' to decide; here are the calls, what their answers teach, and the words for what failed; pauses
and their end are `patience`'s. A deletion is made only after a write to the control log has shown that this process is
not fenced. A process that is frozen between two calls and loses its partition may leave a token behind: it is unused,
and known by its description.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from app.control.patience import Patience, StepFailed, refused
from app.control.steps import (
    CreateBucket,
    CreateTable,
    CreateToken,
    DeleteBucket,
    DeleteTable,
    DeleteTokens,
    Failure,
    Known,
    LookAtBucket,
    LookAtTable,
    LookAtTokens,
    Progress,
    Step,
    Table,
    Token,
    Wanted,
    WriteProgress,
    may_be_left,
    next_step,
    next_undo,
)
from app.keboola.client import StorageClient
from app.keboola.errors import (
    StorageError,
    StorageNotFound,
    StorageRefused,
    StorageTrouble,
)
from app.model.receiver import TableId

MAX_DISPUTES = 3
"""How often Storage may say that something exists which it does not show."""
Save = Callable[[Progress], Awaitable[None]]


class Provisioner:
    """For one run of one task. `save` writes the progress to the control log; `progress` is what was last saved."""

    def __init__(self, storage: StorageClient, wanted: Sequence[Wanted], progress: Progress | None, save: Save) -> None:
        self.progress = progress
        self._storage, self._wanted, self._save = storage, wanted, save
        self._known = Known()

    async def make(self, deadline: float) -> Mapping[str, Token]:
        """Make what is wanted; a token by export id. `deadline` is on the monotonic clock.

        Raises BadRequest for a table that does not match, StepFailed for what Storage refuses or does not do in time.
        """
        await self._walk(lambda: next_step(self._wanted, self.progress, self._known), deadline)
        return self._known.held

    async def undo(self, failure: Failure, deadline: float) -> None:
        """Remove what this task, in this process or an earlier one, has made. Raises StepFailed."""
        if self.progress is None:
            return
        if self.progress.failure is None:
            await self._write(replace(self.progress, failure=failure))
        self._known = replace(self._known, tables={}, held={})
        await self._walk(lambda: next_undo(self._wanted, self.progress or Progress(), self._known), deadline)

    def left(self) -> list[str]:
        """What may be in Storage after an `undo` that failed, in words."""
        return [] if self.progress is None else may_be_left(self._wanted, self.progress, self._known)

    async def _walk(self, decide: Callable[[], Step | None], deadline: float) -> None:
        patience, disputes = Patience(deadline), 0
        while (step := decide()) is not None:
            words = _words(step)
            patience.check(words)
            try:
                await self._do(step)
                patience.succeeded()
            except StorageTrouble as trouble:
                self._forget(step)
                await patience.wait(words, trouble)
            except StorageRefused as refusal:
                disputes += 1
                if not refusal.code.lower().endswith("alreadyexists") or disputes > MAX_DISPUTES:
                    raise refused(words, refusal) from refusal
                self._forget(step)

    async def _do(self, step: Step) -> None:
        if isinstance(step, WriteProgress):
            await self._write(step.progress)
            return
        if isinstance(step, DeleteTokens):
            assert self.progress is not None
            await self._write(replace(self.progress, spent_tokens=step.token_ids))
        self._known = await asyncio.to_thread(self._call, step)

    async def _write(self, progress: Progress) -> None:
        await self._save(progress)
        self.progress = progress

    def _call(self, step: Step) -> Known:
        """Carry one step out; what is known then. Runs in a thread."""
        storage, known = self._storage, self._known
        match step:
            case LookAtBucket(bucket_id):
                return known.with_bucket(bucket_id, _there(lambda: storage.bucket_detail(bucket_id)))
            case LookAtTable(table_id):
                return known.with_table(table_id, self._look_at_table(table_id))
            case LookAtTokens():
                return replace(known, tokens={token.id: token.description for token in storage.list_tokens()})
            case CreateBucket(bucket_id):
                return self._create_bucket(bucket_id)
            case CreateToken(export_id, description, bucket_id):
                made = storage.create_token(description, {bucket_id: "write"}, can_read_all_file_uploads=True)
                return known.with_token(export_id, Token(made.id, made.token), description)
            case CreateTable(mapping):
                table = TableId.parse(mapping.table_id)
                storage.create_table(table.bucket_id, table.table, mapping.column_names, mapping.primary_key)
                return known.with_table(mapping.table_id, self._look_at_table(mapping.table_id))
            case DeleteTokens(token_ids):
                delete_tokens(storage, token_ids)
                return known.without_tokens(token_ids)
            case DeleteTable(table_id):
                _there(lambda: storage.delete_table(table_id))
                return known.with_table(table_id, None)
            case DeleteBucket(bucket_id):
                _there(lambda: storage.delete_bucket(bucket_id))
                return known.with_bucket(bucket_id, False)
            case WriteProgress():
                raise AssertionError("written to the control log, not to Storage")

    def _look_at_table(self, table_id: str) -> Table | None:
        try:
            detail = self._storage.table_detail(table_id)
        except StorageNotFound:
            return None
        return Table(tuple(detail.columns), tuple(detail.primary_key), detail.rows_count or 0)

    def _create_bucket(self, bucket_id: str) -> Known:
        stage, name = bucket_id.split(".", 1)
        made = self._storage.create_bucket(stage, name)
        if made.id != bucket_id:
            with suppress(StorageError):
                self._storage.delete_bucket(made.id)
            raise StepFailed(
                f'Storage names a new bucket "{made.id}", not "{bucket_id}": use "{made.id}" in "tableId", '
                "or create the bucket in Storage first."
            )
        return self._known.with_bucket(bucket_id, True)

    def _forget(self, step: Step) -> None:
        """The step may have had its effect or not: what it was about must be looked up again."""
        match step:
            case CreateBucket(bucket_id) | DeleteBucket(bucket_id):
                self._known = self._known.with_bucket(bucket_id, None)
            case CreateTable(mapping):
                self._known = self._known.without_table(mapping.table_id)
            case DeleteTable(table_id):
                self._known = self._known.without_table(table_id)
            case CreateToken() | DeleteTokens():
                self._known = replace(self._known, tokens=None)


def delete_tokens(storage: StorageClient, token_ids: Sequence[str]) -> None:
    """Delete tokens; those that are gone already count as deleted. Blocking."""
    for token_id in token_ids:
        with suppress(StorageNotFound):
            storage.delete_token(token_id)


def tokens_in_words(token_ids: Sequence[str]) -> str:
    return f"the token{'s' if len(token_ids) > 1 else ''} {', '.join(token_ids)}"


def _there(call: Callable[[], object]) -> bool:
    try:
        call()
    except StorageNotFound:
        return False
    return True


def _words(step: Step) -> str:
    match step:
        case LookAtBucket(bucket_id):
            return f'show the bucket "{bucket_id}"'
        case LookAtTable(table_id):
            return f'show the table "{table_id}"'
        case LookAtTokens():
            return "list the project's tokens"
        case WriteProgress():
            return "write down what is to be made"
        case CreateBucket(bucket_id):
            return f'create the bucket "{bucket_id}"'
        case CreateToken(export_id, _, bucket_id):
            return f'create the token of the export "{export_id}" for the bucket "{bucket_id}"'
        case CreateTable(mapping):
            return f'create the table "{mapping.table_id}"'
        case DeleteTokens(token_ids):
            return f"delete {tokens_in_words(token_ids)}"
        case DeleteTable(table_id):
            return f'delete the table "{table_id}"'
        case DeleteBucket(bucket_id):
            return f'delete the bucket "{bucket_id}"'
