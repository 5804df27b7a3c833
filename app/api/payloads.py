"""Bodies of requests: their schema, and what a schema cannot see.

The models say what may be sent; `receiver_draft` and `export_draft` check the rest (ids, table ids, columns, templates,
conditions), all of it before they raise, and give the normalised draft. Unknown fields are accepted and named by
`unknown_fields`. Source: Buffer API, request and response schemas, identifiers, conditions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from app.api.drafts import (
    NO_REQUESTS,
    ExportChange,
    ExportDraft,
    FilterChange,
    ReceiverChange,
    ReceiverDraft,
    SignatureChange,
    SourceDraft,
)
from app.api.problems import Payload, Problems
from app.api.signing import Seal, SignaturePayload, read_signature
from app.mapping.templates import check_template
from app.model.conditions import Conditions, read_count, read_size, read_time
from app.model.errors import BadRequest, clipped
from app.model.ids import normalise_id
from app.model.receiver import Column, ColumnType, Mapping, TableId
from app.settings import Settings

Id = Annotated[StrictStr, Field(min_length=1, max_length=48)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=40)]
Description = Annotated[StrictStr, Field(max_length=4096)]
Auth = Literal["url", "bearer"]
"""Where senders put the receiver's secret."""
Split = Literal["on", "off"]
_RAW_STRING_TYPES = ("template", "path")
EARLIEST, LATEST = "earliest", "latest"
MAX_WARNINGS = 20
"""Unknown fields of one body that are named."""
MAX_ITEMS = 100
"""Of any list: what is above is refused before it is looked at, so that no body keeps the gateway busy."""
WHOLE = BeforeValidator(lambda n: int(n) if isinstance(n, float) and n.is_integer() else n)
Count = Annotated[StrictInt, WHOLE]
"""1000.0 is an integer too, as JSON Schema has it."""


class TemplatePayload(Payload):
    language: Literal["jsonnet"]
    content: Annotated[StrictStr, Field(min_length=1, max_length=4096)]


class ColumnPayload(Payload):
    name: Annotated[StrictStr, Field(min_length=1)]
    type: Literal["id", "datetime", "ip", "body", "headers", "template", "path"]
    primary_key: StrictBool | None = False
    template: TemplatePayload | None = None
    path: Annotated[StrictStr, Field(max_length=4096)] | None = None
    default_value: Annotated[StrictStr, Field(max_length=4096)] | None = None
    raw_string: StrictBool | None = False


class MappingPayload(Payload):
    table_id: StrictStr
    incremental: StrictBool | None = True
    columns: Annotated[list[ColumnPayload], Field(min_length=1, max_length=MAX_ITEMS)]


class ConditionsPayload(Payload):
    """Each that is missing takes its default."""

    count: Count | None = None
    size: StrictStr | None = None
    time: StrictStr | None = None


class ExportPayload(Payload):
    id: Id | None = None
    name: Name
    mapping: MappingPayload
    filter: TemplatePayload | None = None
    conditions: ConditionsPayload | None = None


class SourcePayload(Payload):
    """A topic that is there already, or all that a pattern means, and where to begin: earliest, latest (if nothing is
    said) or a time.
    """

    topic: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] | None = None
    topics: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9._*?-]{1,249}$")] | None = None
    from_: Annotated[StrictStr | None, Field(alias="from")] = None


class ReceiverPayload(Payload):
    id: Id | None = None
    name: Name
    description: Description | None = ""
    auth: Auth | None = "url"
    signature: SignaturePayload | None = None
    split: Split | None = "on"
    source: SourcePayload | None = None
    exports: Annotated[list[ExportPayload], Field(max_length=MAX_ITEMS)] | None = None


class ReceiverPatch(Payload):
    """What is missing, or null, stays as it is. A signature that is null is removed; one without secrets keeps those
    that are there.
    """

    name: Name | None = None
    description: Description | None = None
    auth: Auth | None = None
    signature: SignaturePayload | None = None
    split: Split | None = None


class ExportPatch(Payload):
    """What is missing, or null, stays as it is; mapping and conditions are replaced as a whole. A filter that is null
    is removed.
    """

    name: Name | None = None
    mapping: MappingPayload | None = None
    filter: TemplatePayload | None = None
    conditions: ConditionsPayload | None = None


def receiver_draft(payload: ReceiverPayload, settings: Settings, seal: Seal) -> ReceiverDraft:
    """Its signature has no secrets where the body has none. Raises BadRequest with every problem of the body."""
    problems = Problems()
    receiver_id = problems.of(lambda: normalise_id(payload.id or payload.name), "")
    exports = [
        _export(problems, export, f"body.exports[{index}]", settings)
        for index, export in enumerate(payload.exports or ())
    ]
    ids = [export.export_id for export in exports if export.export_id]
    for repeated in sorted({one for one in ids if ids.count(one) > 1}):
        problems.add(f'Two exports have the id "{repeated}"; an id must be unique in its receiver')
    signature = None
    if payload.signature is not None:
        signature = read_signature(problems, payload.signature, receiver_id, seal)
    source = None if payload.source is None else _source(problems, payload.source)
    if source is not None and (payload.signature is not None or payload.auth == "bearer" or payload.split == "off"):
        problems.add(NO_REQUESTS)
    problems.settle()
    return ReceiverDraft(
        receiver_id,
        payload.name,
        payload.description or "",
        tuple(exports),
        bearer_only=payload.auth == "bearer",
        signature=signature,
        split=payload.split != "off",
        source=source,
    )


def export_draft(payload: ExportPayload, settings: Settings) -> ExportDraft:
    """Raises BadRequest with every problem of the body."""
    problems = Problems()
    draft = _export(problems, payload, "body", settings)
    problems.settle()
    return draft


def receiver_change(payload: ReceiverPatch, receiver_id: str, seal: Seal) -> ReceiverChange:
    """Raises BadRequest with every problem of the body."""
    problems = Problems()
    signature = SignatureChange(None) if "signature" in payload.model_fields_set else None
    if payload.signature is not None:
        signature = SignatureChange(read_signature(problems, payload.signature, receiver_id, seal))
    problems.settle()
    bearer_only = None if payload.auth is None else payload.auth == "bearer"
    split = None if payload.split is None else payload.split == "on"
    return ReceiverChange(payload.name, payload.description, bearer_only, signature, split)


def export_change(payload: ExportPatch, settings: Settings) -> ExportChange:
    """Raises BadRequest with every problem of the body."""
    problems = Problems()
    mapping, conditions, filter = None, None, None
    if payload.mapping is not None:
        mapping = _mapping(problems, payload.mapping, "body.mapping", settings)
    if payload.conditions is not None:
        conditions = _conditions(problems, payload.conditions, "body.conditions", settings)
    if "filter" in payload.model_fields_set:
        filter = FilterChange(_filter(problems, payload.filter))
    problems.settle()
    return ExportChange(payload.name, mapping, conditions, filter)


def checked_mapping(payload: MappingPayload, filter: TemplatePayload | None, settings: Settings) -> Mapping:
    """Raises BadRequest with every problem of the body's mapping and filter."""
    problems = Problems()
    mapping = _mapping(problems, payload, "body.mapping", settings)
    mapping = replace(mapping, filter=_filter(problems, filter))
    problems.settle()
    return mapping


def unknown_fields(payload: BaseModel) -> list[str]:
    """A warning for each field that the API does not know, and for each that the type of its column does not use; the
    first ones when there are too many.
    """
    found = _unknown_fields(payload, "body")
    warnings = list(islice(found, MAX_WARNINGS))
    return warnings if next(found, None) is None else [*warnings, "More fields are ignored."]


def _unknown_fields(payload: BaseModel, path: str) -> Iterator[str]:
    for name in payload.model_extra or ():
        yield f'Unknown field "{clipped(name)}" in {path} is ignored.'
    if isinstance(payload, ColumnPayload):
        for name, kind in (("template", "template"), ("path", "path"), ("default_value", "path")):
            if getattr(payload, name) is not None and payload.type != kind:
                field = to_camel(name)
                yield f'Field "{field}" in {path} is ignored, because the type of the column is "{payload.type}".'
    for name, value in _parts(payload):
        yield from _unknown_fields(value, f"{path}.{name}")


def _parts(payload: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    for field, info in type(payload).model_fields.items():
        value, name = getattr(payload, field), info.alias or field
        if isinstance(value, BaseModel):
            yield name, value
        elif isinstance(value, list):
            items = ((f"{name}[{index}]", item) for index, item in enumerate(value))
            yield from ((place, item) for place, item in items if isinstance(item, BaseModel))


def _source(problems: Problems, payload: SourcePayload) -> SourceDraft:
    if (payload.topic is None) == (payload.topics is None):
        problems.add('body.source must have either "topic" or "topics"')
    from_ms = problems.of(lambda: _begin(payload.from_ or LATEST), None)
    return SourceDraft(payload.topic or "", from_ms, payload.topics)


def _begin(text: str) -> int | None:
    if text in (EARLIEST, LATEST):
        return 0 if text == EARLIEST else None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise BadRequest(
            f'Invalid "from" value "{clipped(text)}": it must be {EARLIEST}, {LATEST} or a time with its zone, such as '
            "2026-01-02T03:04:05Z"
        )
    return max(0, int(time.timestamp() * 1000))


def _export(problems: Problems, payload: ExportPayload, path: str, settings: Settings) -> ExportDraft:
    export_id = problems.of(lambda: normalise_id(payload.id or payload.name), "")
    mapping = _mapping(problems, payload.mapping, f"{path}.mapping", settings)
    mapping = replace(mapping, filter=_filter(problems, payload.filter))
    conditions = _conditions(problems, payload.conditions or ConditionsPayload(), f"{path}.conditions", settings)
    return ExportDraft(export_id, payload.name, mapping, conditions)


def _mapping(problems: Problems, payload: MappingPayload, path: str, settings: Settings) -> Mapping:
    problems.of(lambda: TableId.parse(payload.table_id), None)
    if len(payload.columns) > settings.max_columns:
        problems.add(
            f"length of {path}.columns must be lesser or equal than {settings.max_columns} "
            f"but got (len={len(payload.columns)})",
            "buffer.invalidLength",
        )
    names = [column.name for column in payload.columns]
    for repeated in sorted({name for name in names if names.count(name) > 1}):
        problems.add(f'Column name "{clipped(repeated)}" is used more than once; names of columns must be unique')
    for column in payload.columns:
        problems.of(lambda column=column: _check_column(column), None)  # type: ignore[misc]  # mypy knows no defaults of lambdas
    columns = tuple(_column(column) for column in payload.columns)
    return Mapping(payload.table_id, columns, payload.incremental is not False)


def _filter(problems: Problems, payload: TemplatePayload | None) -> str | None:
    if payload is None:
        return None
    problems.of(lambda: _check_filter(payload.content), None)
    return payload.content


def _check_filter(source: str) -> None:
    try:
        check_template(source)
    except BadRequest as problem:
        raise BadRequest(f"Filter is invalid: {problem.message}") from problem


def _check_column(column: ColumnPayload) -> None:
    name = clipped(column.name)
    if column.raw_string and column.type not in _RAW_STRING_TYPES:
        allowed = " and ".join(f'"{kind}"' for kind in _RAW_STRING_TYPES)
        raise BadRequest(f'column "{name}" has rawString, which only the types {allowed} may have')
    if column.type == "path" and column.path is None:
        raise BadRequest(f'column "{name}" is missing path')
    if column.type != "template":
        return
    if column.template is None:
        raise BadRequest(f'column "{name}" is missing template')
    try:
        check_template(column.template.content)
    except BadRequest as problem:
        raise BadRequest(f'Column "{name}" template is invalid: {problem.message}') from problem


def _column(column: ColumnPayload) -> Column:
    template = column.template.content if column.template is not None and column.type == "template" else None
    is_path = column.type == "path"
    return Column(
        column.name,
        ColumnType(column.type),
        column.primary_key or False,
        template,
        path=column.path if is_path else None,
        default=column.default_value if is_path else None,
        raw_string=column.raw_string or False,
    )


def _conditions(problems: Problems, payload: ConditionsPayload, path: str, settings: Settings) -> Conditions:
    default, bounds = Conditions(), settings.bounds
    count, size, time = payload.count, payload.size, payload.time
    return Conditions(
        default.count if count is None else problems.of(lambda: read_count(count, bounds, f"{path}.count"), 0),
        default.size_bytes if size is None else problems.of(lambda: read_size(size, bounds), 0),
        default.time_seconds if time is None else problems.of(lambda: read_time(time, bounds), 0.0),
    )
