"""Comparing what ways to evaluate a template give: the same cells and reasons, numbers as numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slow_path import IP, TIME_MS
from template_grammar import Event

from app.mapping.cells import Template
from app.mapping.events import Events
from app.mapping.faults import Unwatched
from app.model.event import EventBatch

Outcome = str | tuple[str, str]
"""A cell's text, or the reason and message of the failure."""

_DIGITS = frozenset("0123456789.-")
_OURS = re.compile(
    r"own: |path \"|header \"|datetime format|Body: |Header: |Now: |Invalid |Unsupported content|max stack frames"
)


def outcomes(template: Template, events: Sequence[Event]) -> list[Outcome]:
    """What becomes of these events, evaluated together."""
    count = len(events)
    batch = EventBatch(
        offsets=list(range(count)),
        times_ms=[TIME_MS] * count,
        ids=[str(number) for number in range(count)],
        ips=[IP] * count,
        bodies=[event.body for event in events],
        headers=[list(event.headers) for event in events],
    )
    cells = template.evaluate(Events.of(batch), range(count), 1 << 25, Unwatched())
    assert len(cells.texts) == count
    refused = {index: (error.reason.value, error.message) for index, error in cells.refused.items()}
    return [refused.get(index, text) for index, text in enumerate(cells.texts)]


def same(one: Outcome, other: Outcome) -> bool:
    """Whether rjsonnet and the C++ engine agree: on the reason, on messages where they are ours, on every character,
    but that each prints the numbers that are not integral, or past 2^53, in its own way; inside strings too. And an
    object that is joined to a string has U+007F to U+009F escaped by the C++ engine alone.
    """
    if isinstance(one, str) and isinstance(other, str):
        return _same_text(_controls(one), _controls(other))
    if isinstance(one, str) or isinstance(other, str) or one[0] != other[0]:
        return False
    return one[1] == other[1] or not (_OURS.match(one[1]) or _OURS.match(other[1]))


def stricter(rjsonnet: Outcome) -> bool:
    """Whether rjsonnet refuses to give a library function what it does not take, where the C++ engine may go on."""
    return isinstance(rjsonnet, tuple) and rjsonnet[1].startswith("type error: expected ")


def _controls(text: str) -> str:
    return re.sub(r"\\\\+u00(?=[789])", r"\\u00", text)


def _same_text(one: str, other: str) -> bool:
    """Looks for the number that is printed around the first difference; digits may stand right beside it."""
    if one == other:
        return True
    differ = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    first = differ
    while first and one[first - 1] in _DIGITS:
        first -= 1
    last = differ
    while last < len(one) and one[last] in _DIGITS:
        last += 1
    return any(
        _is_number(one[start:end], other[start:])
        and _same_text(one[end:], other[start + len(_printed(float(one[start:end]))) :])
        for start in range(first, differ + 1)
        for end in range(last, start, -1)
    )


def _is_number(digits: str, other: str) -> bool:
    try:
        value = float(digits)
    except ValueError:
        return False
    printed = _printed(value)
    return digits != printed and other.startswith(printed)


def _printed(value: float) -> str:
    """A number as the C++ engine prints it."""
    return f"{value:.0f}" if value.is_integer() else f"{value:.17g}"
