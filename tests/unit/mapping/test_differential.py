"""A template means one thing: by rjsonnet and by the C++ engine, many events at once and each alone, by a direct plan.

The corpus is written by hand, made by chance (`template_grammar`), and real (`webhooks`). What the engines are known to
do differently is in a table at the end, and in docs/compatibility.md; the grammar leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import slow_path
from hypothesis import given, settings
from hypothesis import strategies as st
from same_cells import Outcome, outcomes, same, stricter
from template_grammar import Event, events, templates
from webhooks import payloads

from app.mapping import plans
from app.mapping.engines import make_template
from app.mapping.jsonnet import JsonnetTemplate
from app.mapping.jsonnet_cpp import CppTemplate
from app.mapping.plans import DirectPlan
from app.mapping.rows import map_batch
from app.model.engine import Engine
from app.model.event import EventBatch, Segment
from app.model.receiver import Mapping

JSON = (("Content-Type", b"application/json"), ("X-Id", b"id-1"))
FORM = (("content-type", b"application/x-www-form-urlencoded"), ("x-id", b"\xff\0"))
EVENTS = [
    Event(b'{"a":"p","b":"q","c":[1,2,3]}', JSON),
    Event(b'{"a":1,"b":2,"c":[]}', ()),
    Event(b'{"a":1.1,"b":-0.0,"c":[0.1,1e-7,1e22,12345678901234567890]}', JSON),
    Event(b'{"a":null,"b":true,"c":{"k":1,"a":{}}}', ()),
    Event('{"b":"\\u0000é\\u007f\\u009f😀","a":"q\\"\\\\\\n","c":"text"}'.encode(), JSON),
    Event(b'{"a":{"b":{"c":"deep"}},"c":[[1],[{"k":"v"}]]}', ()),
    Event(b'{"a":9007199254740993,"b":-9223372036854775808,"c":[18446744073709551615]}', ()),
    Event(b'["x",["y"]]', ()),
    Event(b'"text"', JSON),
    Event(b"-0", ()),
    Event(b"null", ()),
    Event(b'{"a":"\\ud83d"}', ()),
    Event(b'{"a":"x\\u0000y"}', (("X-Id", b"x\0y"),)),
    Event(b"a=1&b=x+y&c=1&c=2", FORM),
    Event(b"{}", JSON),
    Event(b"", JSON),
    Event(b"{broken", ()),
    Event(b"a=%zz", FORM),
    Event(b"text\xff", (("Content-Type", b"text/plain"), ("x-\ud800", b"1"))),
]
HAND_WRITTEN = [
    *["Body()", "Body('a')", "Body('a', 'none')", "Body('c[0]', 1.5)", "Body('a', -0)"],
    "Body(default=[1.5], path='a.b.c')",
    *["BodyStr()", "Header()", "HeaderStr()", "Header('x-id')", "Header('x-none', {a: null})", "Ip()"],
    *["Now()", "Now('%s')"],
    "Body('a') + '-' + Body('b')",
    "Body('a') + Body('b')",
    "{id: Body('a'), ip: Ip()}",
    "{ 'b c': Body('a', null) + '', a: Now('%Y'), 'é\u007f': Header('x-id') + Ip() }",
    "{a: Body('a') + 1, b: 'x' + Body('c'),}",
    "Body(if Body('a') == 'p' then 'b' else 'a')",
    "Body('a', error 'own: default')",
    "Body(1)",
    "Body(null, null)",
    "Body('a', function(x) x)",
    "function(x) x",
    "local Body(path) = path; Body('a')",
    "local x = Body; x('a')",
    "{ Body: Body('a'), Ip(x):: x, y: self.Ip(1) + Ip() }",
    "local r = Body('nope'); if std.isObject(Body()) then r.x.y else 1",
    "if Body('a') == null then error 'own: no a' else Body('b')",
    "assert std.isString(Body('a')) : 'own: text'; Body('a')",
    "{ assert std.isString(Body('a')) : 'own: text' }",
    "local f(x) = f(x + 1); if Body('b', 0) == 'q' then f(0) else 'x'",
    "{a: Body('a', []), b: [x for x in std.map(function(i) i, Body('c')) if x != 2]}",
    "{ [k]: std.length(k) for k in std.objectFields(Body()) }",
    "Body('b') / 2 + Body('c')[1]",
    "[Body(), BodyStr(), std.length(BodyStr())]",
    "std.sort(std.objectFields(Body()))",
    "std.mergePatch(Body(), {a: null, z: Ip()})",
    "'%s is %05d, %.3f' % [Body('a'), 7, 2.5]",
    "std.trim(' ' + Ip() + '\\t')",
    "[std.log2(8), std.log10(1000), std.pi, std.isNull(Body('a')), std.hypot(3, 4), std.flattenDeepArray(Body('c'))]",
    "[std.md5('é'), std.sha1('\\u0000x'), std.sha256(''), std.sha512('a'), std.sha3('a'), std.base64('é')]",
    "std.parseJson('[' + Body('a', '') + 'null, -0.0, 1.5]')",
    "std.native('cell')('x')",
    "{ a: { }, b: [ ], c: [{ }, 'a, b : \\\" { }'], d: \"it's\" }",
    "|||\n  text: %s\n||| % Ip()",
]  # fmt: skip
WEBHOOK_TEMPLATES = [
    "Body()",
    "Body('repository.full_name', null)",
    "Body('sender.login') + '/' + Body('action', 'none')",
    "{ id: Body('repository.id', 0), at: Now(), who: Body('sender.login', 'nobody'), agent: Header('user-agent', '') }",
    "{ labels: [label.name for label in Body('issue.labels')], count: std.length(Body('issue.labels')) }",
    "local o = Body('organization', {}); { [k]: o[k] for k in std.objectFields(o) if std.isString(o[k]) }",
    "std.join(',', std.sort(std.objectFields(Body())))",
    "std.prune(Body('repository'))",
    "if Body('action', '') == 'opened' then Body('pull_request.title') else std.asciiUpper(Body('sender.type'))",
    "std.foldl(function(sum, commit) sum + std.length(commit.message), Body('commits', []), 0)",
]


def check(template: str, some: Sequence[Event], cpp_failures: int = 2) -> None:
    """All ways agree on these events. At most so many that fail go to the C++ engine: each takes it 33 ms."""
    together = outcomes(JsonnetTemplate(template), some)

    for event, one, other in zip(some, together, map(alone(template), some), strict=True):
        assert one == other if isinstance(one, str) else same(one, other), (template, event)

    planned = outcomes(plans.make_template(template), some)
    assert planned == together

    failed = [index for index, outcome in enumerate(together) if isinstance(outcome, tuple)]
    indexes = [index for index in range(len(some)) if index not in failed[cpp_failures:]]
    chosen = [some[index] for index in indexes]
    by_cpp = outcomes(CppTemplate(template), chosen)
    for index, outcome in zip(indexes, by_cpp, strict=True):
        assert same(together[index], outcome) or stricter(together[index]), (template, some[index])

    if isinstance(plans.make_template(template), DirectPlan):
        assert outcomes(make_template(template, Engine.JSONNET), chosen) == by_cpp


def alone(template: str) -> Callable[[Event], Outcome]:
    return lambda event: slow_path.evaluate(template, event)


@pytest.mark.parametrize("template", HAND_WRITTEN)
def test_template_written_by_hand(template: str) -> None:
    check(template, EVENTS)


@settings(max_examples=40, derandomize=True)
@given(template=templates, some=st.lists(events, min_size=1, max_size=8))
def test_template_made_by_chance(template: str, some: list[Event]) -> None:
    check(template, some, cpp_failures=1)


@pytest.mark.long
@settings(max_examples=1000)
@given(template=templates, some=st.lists(events, min_size=1, max_size=12))
def test_many_templates_made_by_chance(template: str, some: list[Event]) -> None:
    check(template, some, cpp_failures=3)


@pytest.fixture(scope="module")
def webhooks() -> list[Event]:
    headers = (("Content-Type", b"application/json"), ("User-Agent", b"GitHub-Hookshot/0"))
    return [Event(body, headers) for body in payloads()]


@pytest.mark.parametrize("template", WEBHOOK_TEMPLATES)
def test_real_webhooks(template: str, webhooks: list[Event]) -> None:
    check(template, webhooks[::11])


@pytest.mark.long
@pytest.mark.parametrize("template", WEBHOOK_TEMPLATES)
def test_all_real_webhooks(template: str, webhooks: list[Event]) -> None:
    check(template, webhooks, cpp_failures=1000)


@settings(max_examples=40, derandomize=True)
@given(first=templates, second=templates, some=st.lists(events, min_size=2, max_size=8))
def test_rows_of_a_batch_are_those_of_its_events_alone(
    first: str,
    second: str,
    some: list[Event],
    make_mapping: Callable[..., Mapping],
    outcome: Callable[[list[Segment]], Any],
) -> None:
    count = len(some)
    bodies, headers = [event.body for event in some], [list(event.headers) for event in some]
    batch = EventBatch(list(range(count)), [0] * count, ["id"] * count, ["1.2.3.4"] * count, bodies, headers)
    mapping = make_mapping("body", "headers", first=first, second=second)

    together = map_batch(mapping, batch)
    alone = [segment for index in range(count) for segment in map_batch(mapping, batch.part(index, index + 1))]

    assert outcome(together) == outcome(alone)


@pytest.mark.parametrize(
    ("template", "by_rjsonnet", "by_cpp"),
    [
        ("1.1", "1.1", "1.1000000000000001"),
        ("12345678901234567890", "12345678901234567000", "12345678901234567168"),
        ("std.length('' + 0.1)", "3", "19"),
        ("[x for x in {a: 1}]", '[["a",1]]', None),
        ("9007199254740993 & 1", "0", None),
        ("'a\\u0000'[1]", '"\\u0000"', '""'),
        ("'q' * 2", '"qq"', None),
        ("std.parseJson('-0')", "-0", "0"),
        ("std.removeAt('abc', 0)", None, '["b","c"]'),
        ("std.manifestTomlEx({a: {b: 1}}, '')", '"[a]\\nb = 1"', '"\\n\\n[a]\\nb = 1"'),
        ("std.format('%c', [-1])", '"\\u0000"', None),
    ],
)
def test_known_difference_of_the_engines(template: str, by_rjsonnet: str | None, by_cpp: str | None) -> None:
    event = [Event(b"{}", ())]
    made = [outcomes(make_template(template, engine), event)[0] for engine in Engine]

    assert [text if isinstance(text, str) else None for text in made] == [by_rjsonnet, by_cpp]
