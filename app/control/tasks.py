"""One command carried out: from what is asked, through Storage and Kafka, to one transaction in the control log.

A run may be a second one, after the process of the first died: it goes on from the progress in the task's record. A run
ends with the task's terminal record, or raises Interrupted (run it again) or Closed (another process will).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from confluent_kafka.admin import AdminClient

from app.api.drafts import ExportDraft, load_export_draft, load_receiver_draft
from app.api.rules import Limits, check_export_create, check_receiver_create, find_export, find_receiver
from app.control.log import Closed, ControlLog, Interrupted
from app.control.provision import Provisioner, StepFailed, delete_tokens
from app.control.records import (
    SealedToken,
    TopicFacts,
    choose_rows_partitions,
    control_records,
    failed,
    make_export,
    make_receiver,
    succeeded,
    tokens_of,
)
from app.control.steps import Failure, Progress, Wanted, dump_progress, load_progress, token_description
from app.control.topics import ensure_receiver_topic
from app.kafka.transaction import Record
from app.keboola.calls import Timeouts
from app.keboola.client import StorageClient
from app.keboola.errors import StorageError
from app.model.catalog import task_key
from app.model.cipher import Cipher
from app.model.errors import StreamsError
from app.model.ids import new_secret, new_uid
from app.model.receiver import Export, Receiver
from app.model.task import Command, Task, TaskType
from app.settings import Settings

UNDO_SHARE = 1 / 3
"""Part of a task's time that is kept for undoing it."""
TOKEN_DELETION_SECONDS = 10.0
_log = logging.getLogger(__name__)
Outcome = Callable[[Mapping[str, SealedToken], TopicFacts], Sequence[Receiver | Export]]


@dataclass(frozen=True)
class Surroundings:
    """What every task works with; made once per process."""

    settings: Settings
    cipher: Cipher
    admin: AdminClient
    rows_partitions: int

    def storage(self, token: str) -> StorageClient:
        timeouts = Timeouts(self.settings.storage_connect_seconds, self.settings.storage_read_seconds)
        return StorageClient(self.settings.storage_api_host, token, timeouts=timeouts)


class TaskRun:
    """One command, from the time it begins to run in this process. `run` may be called again after Interrupted."""

    def __init__(self, surroundings: Surroundings, log: ControlLog, command: Command) -> None:
        self._around, self._log, self._command = surroundings, log, command
        seconds = surroundings.settings.task_timeout_seconds
        began = time.monotonic()
        self._make_until, self._undo_until = began + seconds * (1 - UNDO_SHARE), began + seconds

    async def run(self) -> None:
        """Carry the command out. Raises Interrupted or Closed."""
        try:
            match self._command.task.type:
                case TaskType.RECEIVER_CREATE:
                    await self._create_receiver()
                case TaskType.EXPORT_CREATE:
                    await self._create_export()
                case TaskType.RECEIVER_DELETE | TaskType.EXPORT_DELETE:
                    await self._delete()
                case unknown:
                    message = f'This version of control cannot carry out a task of the type "{unknown}".'
                    await self._fail(Failure(message, 500, "buffer.unknownTask"))
        except (Interrupted, Closed):
            raise
        except Exception as error:
            await self._fail(self._failure(error))

    def _failure(self, error: Exception) -> Failure:
        """What the task's user reads. A defect of ours harms this task only; its trace is in the log."""
        if isinstance(error, StreamsError):
            return Failure(error.message, error.status, error.name)
        _log.exception("task %s met a defect", self._command.task.task_id, exc_info=error)
        return Failure("Application error; the log of control says more under the id of this task.", 500)

    @property
    def _task(self) -> Task:
        """The task as the log has it."""
        return self._log.catalog.tasks[task_key(self._command.task)]

    @property
    def _progress(self) -> Progress | None:
        text = self._task.progress
        return None if text is None else load_progress(text)

    async def _create_receiver(self) -> None:
        draft = load_receiver_draft(self._command.payload)
        project_id = self._command.task.project_id

        def check() -> None:
            check_receiver_create(self._log.catalog, (), self._limits, project_id, draft)

        def outcome(tokens: Mapping[str, SealedToken], topic: TopicFacts) -> list[Receiver | Export]:
            secret = self._around.cipher.encrypt(new_secret())
            receiver = make_receiver(project_id, draft, topic, uid=new_uid(), secret=secret, now_ms=_now())
            return [receiver, *self._exports(receiver, draft.exports, tokens, topic)]

        await self._create(draft.exports, check, outcome, "receiver created")

    async def _create_export(self) -> None:
        draft = load_export_draft(self._command.payload)
        project_id, receiver_id = self._command.task.project_id, self._command.task.receiver_id

        def check() -> None:
            check_export_create(self._log.catalog, (), self._limits, project_id, receiver_id, draft)

        def outcome(tokens: Mapping[str, SealedToken], topic: TopicFacts) -> list[Receiver | Export]:
            receiver = find_receiver(self._log.catalog, project_id, receiver_id)
            return [*self._exports(receiver, (draft,), tokens, topic)]

        await self._create((draft,), check, outcome, "export created")

    async def _create(
        self, drafts: Sequence[ExportDraft], check: Callable[[], None], outcome: Outcome, result: str
    ) -> None:
        """Bucket, token, table, topic, log; or nothing of it."""
        task = self._task
        wanted = [
            Wanted(draft.export_id, token_description(task.receiver_id, draft.export_id), draft.mapping)
            for draft in drafts
        ]
        with self._around.storage(self._around.cipher.decrypt(self._command.token)) as storage:
            provisioner = Provisioner(storage, wanted, self._progress, self._save)
            failure = provisioner.progress.failure if provisioner.progress is not None else None
            if failure is None:
                try:
                    check()
                    tokens = await provisioner.make(self._make_until) if wanted else {}
                    topic = await self._topic(task)
                    cipher = self._around.cipher
                    sealed = {key: SealedToken(t.token_id, cipher.encrypt(t.text)) for key, t in tokens.items()}
                    await self._finish(lambda: succeeded(self._task, result, _now()), lambda: outcome(sealed, topic))
                    return
                except (Interrupted, Closed):
                    raise
                except Exception as error:
                    failure = self._failure(error)
            await self._fail(await self._undo(provisioner, failure))

    async def _undo(self, provisioner: Provisioner, failure: Failure) -> Failure:
        """The failure, with what could not be removed if there is such."""
        try:
            await provisioner.undo(failure, self._undo_until)
        except StepFailed as trouble:
            return replace(failure, message=f"{failure.message}\nNot all that was made is removed: {trouble.message}")
        return failure

    async def _delete(self) -> None:
        """The log first, so that nothing works for the entity any more; then its tokens, as far as Storage lets us."""
        task = self._task
        if task.progress is None:
            await self._log.transact(self._end_entity)
        progress = self._progress
        if progress is not None and progress.spent_tokens:
            await self._delete_tokens(progress.spent_tokens)
        what = "export" if task.type is TaskType.EXPORT_DELETE else "receiver"
        await self._finish(lambda: succeeded(self._task, f"{what} deleted", _now()))

    def _end_entity(self) -> list[Record]:
        """Tombstones, exports before their receiver, and in the task which tokens are to go."""
        task, catalog = self._task, self._log.catalog
        receiver = find_receiver(catalog, task.project_id, task.receiver_id)
        if task.export_id is None:
            exports, ended = catalog.exports_of(receiver), [receiver]
        else:
            exports, ended = [find_export(catalog, task.project_id, task.receiver_id, task.export_id)], []
        progress = Progress(spent_tokens=tokens_of(exports))
        return control_records(self._log.names, [replace(task, progress=dump_progress(progress))], [*exports, *ended])

    async def _delete_tokens(self, token_ids: Sequence[str]) -> None:
        with self._around.storage(self._around.cipher.decrypt(self._command.token)) as storage:
            try:
                async with asyncio.timeout(TOKEN_DELETION_SECONDS):
                    await asyncio.to_thread(delete_tokens, storage, token_ids)
            except (StorageError, TimeoutError) as trouble:
                _log.warning(
                    "task %s: tokens %s may still be in Storage; delete them there: %s",
                    *(self._task.task_id, ", ".join(token_ids), trouble),
                )

    def _exports(
        self,
        receiver: Receiver,
        drafts: Sequence[ExportDraft],
        tokens: Mapping[str, SealedToken],
        topic: TopicFacts,
    ) -> list[Export]:
        existing = self._log.catalog.exports.values()
        chosen = choose_rows_partitions(existing, self._around.rows_partitions, len(drafts))
        return [
            make_export(
                receiver,
                draft,
                topic,
                tokens[draft.export_id],
                uid=new_uid(),
                rows_partition=partition,
                now_ms=_now(),
            )
            for draft, partition in zip(drafts, chosen, strict=True)
        ]

    async def _topic(self, task: Task) -> TopicFacts:
        name = self._log.names.events(task.project_id, task.receiver_id)
        return await ensure_receiver_topic(self._around.admin, self._around.settings, name)

    async def _save(self, progress: Progress) -> None:
        await self._finish(lambda: replace(self._task, progress=dump_progress(progress)))

    async def _fail(self, failure: Failure) -> None:
        await self._finish(lambda: failed(self._task, failure, _now()))

    async def _finish(
        self, task: Callable[[], Task], entities: Callable[[], Sequence[Receiver | Export]] = lambda: ()
    ) -> None:
        """Write entities and the task in one transaction, decided when the log is ours alone."""
        await self._log.transact(lambda: control_records(self._log.names, [*entities(), task()]))

    @property
    def _limits(self) -> Limits:
        return Limits(self._around.settings.max_receivers, self._around.settings.max_exports)


def _now() -> int:
    return time.time_ns() // 1_000_000
