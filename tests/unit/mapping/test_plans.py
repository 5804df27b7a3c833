"""Direct plans: which templates are plans, and that a plan gives what the engine gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mapping.cells import Cells, Template
from app.mapping.events import Events
from app.mapping.faults import Unwatched
from app.mapping.jsonnet import JsonnetTemplate
from app.mapping.plans import DirectPlan, make_template
from app.model.event import EventBatch, Reason

PLANS = [
    "Body('a')",
    'Body("a.b[0]", "none")',
    "Body()",
    "Body('a', 15)",
    "Body(default=null, path='a')",
    "Body( path = 'a' , default = true )",
    "Header('x-id')",
    "Header('x-none', 'd')",
    "Header()",
    "HeaderStr()",
    "BodyStr()",
    "Ip()",
    "Now()",
    "Now('%Y %s')",
    "Now(format='%F')",
    "'literal'",
    "\n 'a' + Body('a')\t+ '-' + Header('x-id') + Ip() + Now() \r\n",
    "Body('a') + Body('b')",
    "Body('a', 1) + ''",
    "1 + 2",
    "Body('a', '<<~~errOnUndefined~~>>')",
    "Body('a') // a comment",
    "{a: Body('a')}",
    "{ 'z z': Body('b', null), a: Body('a') + '-' + Ip(), \"é\x7f\": 1, }",
    "{x: Header('x-id'), type: 'order', deep: Body('a.b', false)}",
    "{b: Body('b'), a: Body('a')}",
]
NO_PLANS = [
    "Body('a') - 1",
    "(Body('a'))",
    "Body('a').b",
    "Body('a')[0]",
    "Body('it\\'s')",
    "std.length('a')",
    "{}",
    "{a:: Body('a'), b: 1}",
    "{a+: Body('a')}",
    "{a: Body('a')}.a",
    "{a: Body('a')} + {}",
    "{a: {b: 1}}",
    "{[Ip()]: 1}",
    "{a(x): 1}",
    "{a: 1 for x in [1]}",
    "{local x = 1, a: x}",
    "{'it\\'s': 1}",
    "Body('a', -0)",
    "Body('a', 1.5)",
    "Body('a', 12345678901234567890)",
    "Body('a', {})",
    "Body('a', 'b', 'c')",
    "Body('a', path='b')",
    "Body(path='a', 'b')",
    "Body(nope='a')",
    "Body('a',)",
    "Body('a'",
    "Ip('x')",
    "Ip",
    "Body('a') +",
    "+ Body('a')",
    "Body(Body('a'))",
    "local x = 1; x",
    "self",
    "",
    "@'a'",
    "01",
    "1e3",
    "'a' 'b'",
]


@pytest.mark.parametrize("source", PLANS)
def test_plain_template_is_a_plan(source: str) -> None:
    assert isinstance(make_template(source), DirectPlan)


@pytest.mark.parametrize("source", NO_PLANS)
def test_other_template_is_left_to_the_engine(source: str) -> None:
    assert isinstance(make_template(source), JsonnetTemplate)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.text(max_size=2), SCALARS, max_size=2))
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b"]), VALUES).map(orjson.dumps),
    st.just(b'{"a":{"b":["deep"]},"b":"x"}'),
    st.sampled_from([b"", b"[]", b"{", b'"text"', b"-0", b"-0.0", b"1e22", b"1e-7"]),
)


def outcome(template: Template, batch: EventBatch) -> Any:
    cells: Cells = template.evaluate(Events.of(batch), range(len(batch)), 1 << 25, Unwatched())
    refused = {index: (error.reason, error.message) for index, error in cells.refused.items()}
    return [None if index in refused else text for index, text in enumerate(cells.texts)], refused


@pytest.mark.parametrize("source", PLANS)
@settings(max_examples=20, deadline=None)
@given(bodies=st.lists(BODIES, min_size=1, max_size=6))
def test_plan_gives_what_the_engine_gives(
    source: str, bodies: list[bytes], make_batch: Callable[..., EventBatch]
) -> None:
    batch = make_batch(*bodies, headers=[("X-Id", b"id-1"), ("x-other", b'\x7f\xc2\x80\\"')])

    assert outcome(make_template(source), batch) == outcome(JsonnetTemplate(source), batch)


@settings(max_examples=300, deadline=None)
@given(number=st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**64 - 1)))
def test_numbers_are_the_engines(number: float, make_batch: Callable[..., EventBatch]) -> None:
    batch = make_batch(orjson.dumps(number))

    assert outcome(make_template("Body()"), batch) == outcome(JsonnetTemplate("Body()"), batch)


def test_cell_over_the_rows_limit_is_refused_by_plan_and_engine(make_batch: Callable[..., EventBatch]) -> None:
    batch = make_batch(orjson.dumps({"a": "x" * (1 << 20)}), b'{"a":"small"}')

    planned = outcome(make_template("Body('a')"), batch)

    assert planned == outcome(JsonnetTemplate("Body('a')"), batch)
    assert planned[1][0][0] is Reason.ROW_TOO_LARGE


def test_events_left_to_an_engine_that_stops_end_the_cells(make_batch: Callable[..., EventBatch]) -> None:
    class Stopped:
        def evaluate(self, events: Events, indexes: Any, max_chars: int, watch: Any) -> Cells:
            return Cells(["engine"])

    batch = make_batch(b'"a"', b"[1]", b'"b"', b"[2]", b'"c"')
    plan = make_template("Body()")
    assert isinstance(plan, DirectPlan)

    cells = DirectPlan(plan.plan, Stopped()).evaluate(Events.of(batch), range(5), 1 << 20, Unwatched())

    assert cells.texts == ['"a"', "engine", '"b"']
