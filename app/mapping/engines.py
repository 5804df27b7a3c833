"""The Jsonnet engines behind one interface: a source and an engine's name in, a `Template` out.

Both evaluate many events at once, refuse imports, and give the same cells and reasons; direct plans serve both. They
differ in speed, and in the printing of non-integral numbers: rjsonnet `1.1`, the C++ engine `1.1000000000000001`, as
the reference does. What one of them lacks of the standard library is supplied by `app.mapping.std`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.mapping import plans
from app.mapping.cells import Cells, Template
from app.mapping.events import Events
from app.mapping.faults import Watch
from app.mapping.jsonnet_cpp import CppTemplate
from app.model.engine import Engine

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def make_template(source: str, engine: Engine = Engine.RJSONNET) -> Template:
    """The template made ready, by a plan where there is one. The source must have passed `check_template`.

    >>> type(make_template("std.length('x')", Engine.JSONNET)).__name__
    'CppTemplate'
    >>> type(make_template("Ip()", Engine.JSONNET)).__name__
    'CppPlan'
    """
    if engine is Engine.RJSONNET:
        return plans.make_template(source)
    template = CppTemplate(source)
    plan = plans.make_template(source, template)
    return template if plan is template else CppPlan(plan, template)


class CppPlan:
    """A direct plan beside the C++ engine: cells with a non-integral number are the engine's, for it prints it."""

    def __init__(self, plan: Template, engine: Template) -> None:
        self._plan = plan
        self._engine = engine

    def evaluate(self, events: Events, indexes: Sequence[int], max_chars: int, watch: Watch) -> Cells:
        cells = self._plan.evaluate(events, indexes, max_chars, watch)
        left = [at for at, text in enumerate(cells.texts) if "." in text and "." in _STRING.sub("", text)]
        if left:
            printed = self._engine.evaluate(events, [indexes[at] for at in left], max_chars, watch)
            for at, text in zip(left, printed.texts, strict=False):
                cells.texts[at] = text
            cells.refused.update(printed.refused)
            if len(printed.texts) < len(left):
                del cells.texts[left[len(printed.texts)] :]
        return cells
