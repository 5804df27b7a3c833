"""Envelopes for the tests of the fold: what happened to each event, cut as the test says."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from app.model.event import Reason
from app.model.rows import FailedEvent, Rows, Source, to_runs

SOURCE = Source("topic", 0, "live")
PADDING = ("", "p" * 30, "line\nbreak", '""quoted""\n', "\n")


class Outcome(StrEnum):
    ROW = "row"
    FAILURE = "failure"
    SKIPPED = "skipped"


def row(offset: int, version: int = 0) -> bytes:
    """The CSV row of an event; another version has other cells and another length."""
    return f'"{offset}","{version}","{PADDING[(offset * 7 + version) % len(PADDING)]}"\n'.encode()


def failed(offset: int) -> FailedEvent:
    return FailedEvent(offset, Reason.TEMPLATE_ERROR, "c", "no", "events", 5, str(offset), "", [("a", b"b")], b"{}")


def envelope(
    base: int, outcomes: Sequence[Outcome], *, version: int = 0, source: Source = SOURCE, revision: int = 1
) -> Rows:
    """The envelope of the events from `base` on."""
    offsets = {wanted: [base + i for i, o in enumerate(outcomes) if o is wanted] for wanted in Outcome}
    return Rows(
        "x",
        revision,
        source,
        base,
        base + len(outcomes),
        to_runs(base, offsets[Outcome.ROW]),
        len(offsets[Outcome.ROW]),
        b"".join(row(offset, version) for offset in offsets[Outcome.ROW]),
        [failed(offset) for offset in offsets[Outcome.FAILURE]],
        len(offsets[Outcome.SKIPPED]),
    )
