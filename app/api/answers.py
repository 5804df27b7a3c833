"""Bodies of answers: receivers, exports and tasks as the Buffer API shows them.

Absent fields are left out, never null; dates are ISO 8601 in UTC with three digits of milliseconds.
Source: Buffer API, request and response schemas, tasks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fastapi import Response
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from app.api.signing import signature_body
from app.model.binding import SourceTopic
from app.model.conditions import format_size, format_time
from app.model.errors import ConfigurationError
from app.model.receiver import Column, Export, Receiver, Suspension
from app.model.signature import Signature
from app.model.task import Task, TaskStatus, iso_time


class Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class IndexAnswer(Answer):
    api: str
    documentation: str


class TemplateAnswer(Answer):
    language: str
    content: str


class ColumnAnswer(Answer):
    primary_key: bool
    name: str
    type: str
    template: TemplateAnswer | None = None
    path: str | None = None
    default_value: str | None = None
    raw_string: bool | None = None


class MappingAnswer(Answer):
    table_id: str
    incremental: bool
    columns: list[ColumnAnswer]


class ConditionsAnswer(Answer):
    count: int
    size: str
    time: str


class SuspensionAnswer(Answer):
    """`reason` is there when the export was suspended by itself."""

    state: str
    since: str
    reason: str | None = None


class ExportAnswer(Answer):
    """`suspension` is there while the export is suspended."""

    id: str
    receiver_id: str
    name: str
    mapping: MappingAnswer
    filter: TemplateAnswer | None = None
    conditions: ConditionsAnswer
    suspension: SuspensionAnswer | None = None


class ExportsAnswer(Answer):
    exports: list[ExportAnswer]


class SignatureAnswer(Answer):
    """How requests must be signed. A secret is shown by its fingerprint alone."""

    scheme: str
    fingerprints: list[str]
    tolerance: str | None = None
    header: str | None = None
    algorithm: str | None = None
    encoding: str | None = None
    prefix: str | None = None
    timestamp_header: str | None = None
    content: str | None = None


class ReceiverSourceAnswer(Answer):
    """One topic, or a pattern (`topics`) with the topics that are `read` now."""

    topic: str | None = None
    topics: str | None = None
    read: list[str] | None = None


class ReceiverAnswer(Answer):
    """`problem` says why there is no `url`: its secret cannot be decrypted. One with a `source` has neither: nothing is
    sent to it. `auth` and `token` are there where the secret is a token and not a part of the URL,
    `previous_secret_until` while an earlier one is taken too, `split` where it is off.
    """

    id: str
    url: str | None = None
    problem: str | None = None
    auth: str | None = None
    token: str | None = None
    previous_secret_until: str | None = None
    name: str
    description: str
    split: str | None = None
    signature: SignatureAnswer | None = None
    source: ReceiverSourceAnswer | None = None
    exports: list[ExportAnswer]


class ReceiversAnswer(Answer):
    receivers: list[ReceiverAnswer]


class OutputsAnswer(Answer):
    receiver_id: str | None = None
    export_id: str | None = None


class TaskAnswer(Answer):
    """A task; `warnings` is there only in the answer to the request that started it, `waits_for` only while somebody
    has to do something.
    """

    id: str
    type: str
    url: str
    status: str
    is_finished: bool
    created_at: str
    finished_at: str | None = None
    duration: int | None = None
    result: str | None = None
    error: str | None = None
    waits_for: str | None = None
    outputs: OutputsAnswer | None = None
    warnings: list[str] | None = None


def as_json(answer: Answer) -> Response:
    """The answer as it is: a large one is not checked and copied once more, as FastAPI would."""
    return Response(answer.model_dump_json(by_alias=True, exclude_none=True), media_type="application/json")


def show_export(export: Export) -> ExportAnswer:
    mapping, conditions = export.revision.mapping, export.conditions
    return ExportAnswer(
        id=export.export_id,
        receiver_id=export.receiver_id,
        name=export.name,
        mapping=MappingAnswer(
            table_id=mapping.table_id,
            incremental=mapping.incremental,
            columns=[_show_column(column) for column in mapping.columns],
        ),
        filter=_show_template(mapping.filter),
        conditions=ConditionsAnswer(
            count=conditions.count,
            size=format_size(conditions.size_bytes),
            time=format_time(conditions.time_seconds),
        ),
        suspension=None if export.suspension is None else _show_suspension(export.suspension),
    )


def show_receiver(
    receiver: Receiver,
    exports: list[Export],
    public_address: str,
    decrypt: Callable[[bytes], str],
    topics: Sequence[SourceTopic] = (),
) -> ReceiverAnswer:
    """With its import URL, or the reason why that is not known. `decrypt` raises ConfigurationError; `topics` are those
    that it reads.
    """
    url = problem = token = None
    try:
        if not receiver.is_bound:
            secret = decrypt(receiver.secret)
            url = f"{public_address}/v1/import/{receiver.project_id}/{receiver.receiver_id}"
            if receiver.bearer_only:
                token = secret
            else:
                url = f"{url}/{secret}"
    except ConfigurationError as error:
        problem = error.message
    return ReceiverAnswer(
        id=receiver.receiver_id,
        url=url,
        problem=problem,
        auth="bearer" if receiver.bearer_only else None,
        token=token,
        previous_secret_until=_previous_until(receiver),
        name=receiver.name,
        description=receiver.description,
        split=None if receiver.split else "off",
        signature=None if receiver.signature is None else _show_signature(receiver.signature),
        source=_show_source(receiver, topics) if receiver.is_bound else None,
        exports=[show_export(export) for export in exports],
    )


def _show_source(receiver: Receiver, topics: Sequence[SourceTopic]) -> ReceiverSourceAnswer:
    if receiver.pattern is None:
        return ReceiverSourceAnswer(topic=receiver.topic)
    return ReceiverSourceAnswer(topics=receiver.pattern, read=[topic.topic for topic in topics])


def show_task(task: Task, public_address: str, warnings: list[str] | None = None) -> TaskAnswer:
    finished = task.status is not TaskStatus.PROCESSING
    succeeded = task.status is TaskStatus.SUCCESS
    ended_ms = task.finished_ms if finished and task.finished_ms is not None else None
    return TaskAnswer(
        id=task.task_id,
        type=task.type.value,
        url=task_url(task, public_address),
        status=task.status.value,
        is_finished=finished,
        created_at=iso_time(task.created_ms),
        finished_at=None if ended_ms is None else iso_time(ended_ms),
        duration=None if ended_ms is None else max(0, ended_ms - task.created_ms),
        result=task.result if succeeded else None,
        error=task.error if finished and not succeeded else None,
        waits_for=None if finished else task.result,
        outputs=OutputsAnswer(receiver_id=task.receiver_id, export_id=task.export_id) if succeeded else None,
        warnings=warnings or None,
    )


def task_url(task: Task, public_address: str) -> str:
    return f"{public_address}/v1/tasks/{task.task_id}"


def _previous_until(receiver: Receiver) -> str | None:
    """Nothing once that time has passed."""
    previous = receiver.previous
    over = previous is None or previous.until_ms <= time.time() * 1000
    return None if previous is None or over else iso_time(previous.until_ms)


def _show_signature(signature: Signature) -> SignatureAnswer:
    fingerprints = [secret.fingerprint for secret in signature.secrets]
    return SignatureAnswer(fingerprints=fingerprints, **signature_body(signature))


def _show_suspension(suspension: Suspension) -> SuspensionAnswer:
    state = "suspending" if suspension.first is None else "suspended"
    return SuspensionAnswer(
        state="resuming" if suspension.lane is not None else state,
        since=iso_time(suspension.since_ms),
        reason=suspension.reason,
    )


def _show_column(column: Column) -> ColumnAnswer:
    return ColumnAnswer(
        primary_key=column.primary_key,
        name=column.name,
        type=column.type.value,
        template=_show_template(column.template),
        path=column.path,
        default_value=column.default,
        raw_string=column.raw_string or None,
    )


def _show_template(source: str | None) -> TemplateAnswer | None:
    return None if source is None else TemplateAnswer(language="jsonnet", content=source)
