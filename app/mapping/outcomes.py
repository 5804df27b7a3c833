"""Templates whose result is no JSON cell: `rawString` columns and the filter of an export.

Both are templates around another one, so engines and direct plans serve them alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from app.mapping.cells import Cells, Template
from app.mapping.events import Events
from app.mapping.faults import MAX_ROW_BYTES, Refused, Watch, of_filter
from app.model.errors import clipped
from app.model.event import Reason

FILTERED_OUT = "false"
_BOOLEANS = ("true", FILTERED_OUT)


class RawStrings:
    """A template whose texts are cells as they are, without JSON's quotes and escapes; other results stay JSON."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        cells = self._template.evaluate(events, indexes, max_chars, watch)
        return Cells([orjson.loads(text) if text[:1] == '"' else text for text in cells.texts], cells.refused)


class Filter:
    """A template that gives "true" for an event that is to be mapped and FILTERED_OUT for one that is not.

    Whatever else it gives is refused, and refusals say that it was the filter; but for bodies that cannot be read.
    """

    def __init__(self, template: Template) -> None:
        self._template = template

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        cells = self._template.evaluate(events, indexes, max_chars, watch)
        refused = {index: _refused(refusal) for index, refusal in cells.refused.items()}
        for index, text in zip(indexes, cells.texts, strict=False):
            if text not in _BOOLEANS and index not in refused:
                refused[index] = _no_boolean(clipped(text))
        return Cells(cells.texts, refused)


def _refused(refusal: Refused) -> Refused:
    if refusal.reason is Reason.BODY_INVALID:
        return refusal
    if refusal.reason is Reason.ROW_TOO_LARGE:
        return _no_boolean(f"more than {MAX_ROW_BYTES:,} bytes")
    return Refused(refusal.reason, of_filter(refusal.message))


def _no_boolean(given: str) -> Refused:
    return Refused(Reason.TEMPLATE_ERROR, of_filter(f"it must give true or false, but gave {given}"))
