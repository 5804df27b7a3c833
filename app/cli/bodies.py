"""Bodies of requests, in one normal form for what a file wants and for what the API shows.

Both go through the API's own checks (`app.api.payloads`) into drafts, so that two bodies that mean the same are equal:
ids are normalised, defaults filled in, sizes and times as the API echoes them. Limits are left to the API, whose
settings may differ from ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Fields
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from app.api.complaints import first_complaints, told_together
from app.api.drafts import ExportChange, ExportDraft, ReceiverChange, ReceiverDraft, SourceDraft
from app.api.payloads import (
    EARLIEST,
    LATEST,
    ExportPayload,
    ReceiverPayload,
    export_draft,
    receiver_draft,
    unknown_fields,
)
from app.cli.signatures import auth_of, signature_with_secrets, split_fingerprints, with_fingerprints
from app.model.conditions import Conditions, format_size, format_time, parse_time
from app.model.errors import BadRequest
from app.model.receiver import Column, Mapping
from app.model.task import iso_time
from app.settings import Settings

Body = dict[str, Any]
"""A body as JSON has it, camelCase."""

_SHOWN_ONLY = ("url", "problem", "token", "previousSecretUntil")
_UNLIMITED = Settings.model_construct(
    min_count=0,
    max_count=2**63,
    min_size_bytes=0,
    max_size_bytes=2**63,
    min_time_seconds=-1.0,
    max_time_seconds=math.inf,
    max_columns=2**31,
)


def read_receiver(body: object) -> tuple[ReceiverDraft, list[str]]:
    """The receiver that a body stands for, and a warning for each field that the API would ignore.

    What the API shows of a receiver is a body too: what is not a caller's to say (`url`, the `problem` with it, …) is
    left out, and of secrets there are the fingerprints alone. Raises BadRequest with every problem.
    """
    fingerprints: list[str] = []
    if isinstance(body, dict):
        exports = body.get("exports")
        body = {name: value for name, value in body.items() if name not in _SHOWN_ONLY}
        if isinstance(exports, list):
            body["exports"] = [_without_receiver(export) for export in exports]
        if isinstance(body.get("signature"), dict):
            body["signature"], fingerprints = split_fingerprints(body["signature"])
        if isinstance(body.get("split"), bool):  # what YAML makes of on and off
            body["split"] = split_word(body["split"])
    try:
        payload = ReceiverPayload.model_validate(body)
    except ValidationError as error:
        raise _complaint(error) from error
    draft = receiver_draft(payload, _UNLIMITED, str.encode)  # they stay on this machine until they are sent
    signature = with_fingerprints(draft.signature, fingerprints)
    exports_as_echoed = tuple(_as_echoed(export) for export in draft.exports)
    return replace(draft, exports=exports_as_echoed, signature=signature), unknown_fields(payload)


def _source_body(source: SourceDraft) -> Body:
    what = {"topic": source.topic} if source.pattern is None else {"topics": source.pattern}
    if source.from_ms is None:
        return {**what, "from": LATEST}
    return {**what, "from": iso_time(source.from_ms) if source.from_ms else EARLIEST}


def read_export(body: object) -> tuple[ExportDraft, list[str]]:
    """The export that a body stands for, and warnings, as `read_receiver`."""
    try:
        payload = ExportPayload.model_validate(_without_receiver(body))
    except ValidationError as error:
        raise _complaint(error) from error
    return _as_echoed(export_draft(payload, _UNLIMITED)), unknown_fields(payload)


def body_of(draft: ReceiverDraft | ExportDraft | ReceiverChange | ExportChange) -> Body:
    """What to send to the API for a draft; what a change leaves alone is left out."""
    body: Body = {}
    if isinstance(draft, ReceiverDraft):
        body = {"id": draft.receiver_id, "description": draft.description}
        if not draft.split:
            body["split"] = split_word(draft.split)
        if draft.source is not None:
            body["source"] = _source_body(draft.source)
        body["exports"] = [body_of(export) for export in draft.exports]
        if draft.bearer_only:
            body["auth"] = auth_of(draft.bearer_only)
        if draft.signature is not None:
            body["signature"] = signature_with_secrets(draft.signature)
    elif isinstance(draft, ReceiverChange):
        body = {} if draft.description is None else {"description": draft.description}
        if draft.bearer_only is not None:
            body["auth"] = auth_of(draft.bearer_only)
        if draft.signature is not None:
            body["signature"] = signature_with_secrets(draft.signature.signature)
        if draft.split is not None:
            body["split"] = split_word(draft.split)
    else:
        if isinstance(draft, ExportDraft):
            body["id"] = draft.export_id
        if draft.mapping is not None:
            body["mapping"] = _mapping_body(draft.mapping)
        if isinstance(draft, ExportChange) and draft.filter is not None:
            body["filter"] = _template_body(draft.filter.source)
        elif isinstance(draft, ExportDraft) and draft.mapping.filter is not None:
            body["filter"] = _template_body(draft.mapping.filter)
        if draft.conditions is not None:
            body["conditions"] = conditions_body(draft.conditions)
    return body if draft.name is None else {**body, "name": draft.name}


def split_word(split: bool) -> str:
    """As the API has it."""
    return "on" if split else "off"


def conditions_body(conditions: Conditions) -> Body:
    """As the API echoes them."""
    return {
        "count": conditions.count,
        "size": format_size(conditions.size_bytes),
        "time": format_time(conditions.time_seconds),
    }


def _mapping_body(mapping: Mapping) -> Body:
    columns = [_column_body(column) for column in mapping.columns]
    return {"tableId": mapping.table_id, "incremental": mapping.incremental, "columns": columns}


def _column_body(column: Column) -> Body:
    body: Body = {"name": column.name, "type": column.type.value, "primaryKey": column.primary_key}
    if column.template is not None:
        body["template"] = _template_body(column.template)
    if column.path is not None:
        body["path"] = column.path
    if column.default is not None:
        body["defaultValue"] = column.default
    if column.raw_string:
        body["rawString"] = True
    return body


def _template_body(source: str | None) -> Body | None:
    return None if source is None else {"language": "jsonnet", "content": source}


def _as_echoed(export: ExportDraft) -> ExportDraft:
    """The API echoes a time with six digits of its seconds: "59.9999999s" is shown as a minute."""
    seconds = parse_time(format_time(export.conditions.time_seconds))
    return replace(export, conditions=replace(export.conditions, time_seconds=seconds))


def _without_receiver(export: object) -> object:
    """An export that the API shows names its receiver; a body does not."""
    if not isinstance(export, Fields):
        return export
    return {name: value for name, value in export.items() if name != "receiverId"}


def _complaint(error: ValidationError) -> BadRequest:
    found = [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
    complaints = first_complaints(found)
    return BadRequest(told_together([complaint.message for complaint in complaints]), complaints[0].name)
