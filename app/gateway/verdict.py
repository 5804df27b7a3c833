"""What a validation answers: events that exports cannot map, in the words of the Buffer API. Pure.

Source: Buffer API, import endpoint, body parsing and errors. One export that fails for one event is answered by its own
status and message; several are 400 `buffer.multipleErrors`, which lists them.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.api.errors import sentence
from app.api.trials import Misfit
from app.gateway.answers import Refusal
from app.mapping.body import BodyKind, body_kind
from app.mapping.faults import MAX_ROW_BYTES
from app.model.conditions import format_size
from app.model.errors import clipped
from app.model.event import Failure, Reason

MAX_TOLD = 20
"""Misfits that one answer lists."""
MAX_MESSAGE_CHARS = 64 * 1024


def verdict(misfits: Sequence[Misfit], content_type: str, events: int) -> Refusal | None:
    """The answer to a request of so many events with these misfits; None when there are none.

    `content_type` is the request's as it came, "" where it is absent. Events are named when there are several.
    """
    refusals = [_named(misfit, _refusal(misfit, content_type), events) for misfit in misfits]
    if len(refusals) < 2:
        return refusals[0] if refusals else None
    items = [sentence(refusal.message) for refusal in refusals[:MAX_TOLD]]
    if len(refusals) > MAX_TOLD:
        items.append(f"And {len(refusals) - MAX_TOLD} more.")
    return _bounded(Refusal(400, "buffer.multipleErrors", "\n".join(map(_bullet, items))))


def _named(misfit: Misfit, refusal: Refusal, events: int) -> Refusal:
    prefix = f"Event at index {misfit.event}: " if events > 1 else ""
    return _bounded(Refusal(refusal.status, refusal.name, prefix + refusal.message))


def _refusal(misfit: Misfit, content_type: str) -> Refusal:
    """What is wrong with the body or the size of the row wins over columns, and is told without the export."""
    first = misfit.failures[0]
    if first.reason is Reason.BODY_INVALID:
        if body_kind(content_type) is BodyKind.OTHER:
            return Refusal(
                415,
                "buffer.unsupportedMediaType",
                f'Unsupported content type "{clipped(content_type)}", '
                "supported types: application/json and application/x-www-form-urlencoded.",
            )
        return Refusal(400, "buffer.badRequest", first.message)
    if first.reason is Reason.ROW_TOO_LARGE:
        size = format_size(MAX_ROW_BYTES)
        return Refusal(413, "buffer.payloadTooLarge", f"Size of the mapped csv row exceeded the limit of {size}.")
    items = "\n".join(_bullet(_column(failure)) for failure in misfit.failures)
    return Refusal(400, "buffer.badRequest", f'Failed to format record for export "{misfit.export_id}":\n{items}')


def _column(failure: Failure) -> str:
    """What is wrong with a column. Only what the reference does not know (time, memory) names it."""
    if failure.reason is Reason.TEMPLATE_ERROR or failure.column is None:
        text = failure.message
    else:
        text = f'column "{failure.column}": {failure.message}'
    return text[:1] + sentence(text)[1:]


def _bullet(text: str) -> str:
    return "- " + text.replace("\n", "\n  ")


def _bounded(refusal: Refusal) -> Refusal:
    if len(refusal.message) <= MAX_MESSAGE_CHARS:
        return refusal
    return Refusal(refusal.status, refusal.name, refusal.message[: MAX_MESSAGE_CHARS - 1] + "…")
