"""What a caller asks for, checked and normalised, before it exists: the payload of a command.

A draft has ids but no uid, no secret, no token and no offsets: control adds those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from app.model.conditions import Conditions
from app.model.errors import BadRequest
from app.model.receiver import Mapping

D = TypeVar("D")


@dataclass(frozen=True)
class ExportDraft:
    """An export to create."""

    export_id: str
    name: str
    mapping: Mapping
    conditions: Conditions


@dataclass(frozen=True)
class ReceiverDraft:
    """A receiver to create, with its first exports."""

    receiver_id: str
    name: str
    description: str
    exports: tuple[ExportDraft, ...] = ()


Draft = ReceiverDraft | ExportDraft
_receiver = TypeAdapter(ReceiverDraft)
_export = TypeAdapter(ExportDraft)


def dump_draft(draft: Draft) -> str:
    """The draft as JSON, for a command."""
    adapter: TypeAdapter[ReceiverDraft] | TypeAdapter[ExportDraft]
    adapter = _receiver if isinstance(draft, ReceiverDraft) else _export
    return adapter.dump_json(draft).decode()  # type: ignore[arg-type]  # the adapter was chosen by the draft's type


def load_receiver_draft(payload: str) -> ReceiverDraft:
    """Raises BadRequest for what is no draft, such as a newer version's."""
    return _load(_receiver, payload)


def load_export_draft(payload: str) -> ExportDraft:
    """Raises BadRequest for what is no draft, such as a newer version's."""
    return _load(_export, payload)


def _load(adapter: TypeAdapter[D], payload: str) -> D:
    try:
        return adapter.validate_json(payload)
    except ValidationError as error:
        raise BadRequest(f"This version of control cannot read the command: {error.error_count()} errors.") from error
