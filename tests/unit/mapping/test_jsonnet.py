"""Evaluating many events at once gives what evaluating each alone gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
import rjsonnet
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mapping.events import Events
from app.mapping.faults import TooMuch, Unwatched
from app.mapping.jsonnet import EVENTS_PER_EVALUATION, JsonnetTemplate
from app.mapping.rows import map_batch
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Mapping

TEMPLATES = [
    "Body('a')",
    "Body('a') + 1",
    "Body('a') + '-' + Body('b')",
    "if Body('a') == null then error 'no a' else Body('b')",
    "local f(x) = f(x + 1); if Body('b', 0) == 1 then f(0) else 'x'",
    "{a: Body('a', []), b: [x for x in Body('b')]}",
    "Body('b') * 2",
    "std.length(Body('a')) + Header('X-None', 0)",
    "[Body(), BodyStr()]",
    "local r = Body('nope'); if std.isObject(Body()) then r.x.y else 1",
    "Body(if Body('a') == 'p' then function(x) x else 'b')",
]
NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(["", "p", "é\n"]))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.just({"k": 1}))
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(["a", "b"]), VALUES).map(orjson.dumps),
    st.sampled_from([b"", b"{", b"[]", b"null", b"\xff", b'{"a":12345678901234567890,"b":1e300}']),
)


@pytest.mark.parametrize("template", TEMPLATES)
@settings(max_examples=25, deadline=None)
@given(bodies=st.lists(BODIES, min_size=1, max_size=8))
def test_batch_equals_one_by_one(
    template: str,
    bodies: list[bytes],
    make_batch: Callable[..., EventBatch],
    make_mapping: Callable[..., Mapping],
    outcome: Callable[[list[Segment]], Any],
) -> None:
    mapping = make_mapping("body", first=template, second="Body('b', 'none')")
    batch = make_batch(*bodies)

    together = map_batch(mapping, batch)
    alone = [segment for index in range(len(batch)) for segment in map_batch(mapping, batch.part(index, index + 1))]

    assert outcome(together) == outcome(alone)


@pytest.mark.parametrize("failing", ["Body('nope')", "error 'x'", "1 / 0"])
def test_failures_in_a_long_batch_are_their_events_alone(
    failing: str,
    make_batch: Callable[..., EventBatch],
    make_mapping: Callable[..., Mapping],
    outcome: Callable[[list[Segment]], Any],
) -> None:
    count = EVENTS_PER_EVALUATION * 2 + 100
    bodies = [b'{"n":%d}' % number for number in range(count)]
    mapping = make_mapping(cell=f"if Body('n') % 33 == 7 then {failing} else Body('n')")

    rows, failures = outcome(map_batch(mapping, make_batch(*bodies)))

    assert sorted(failures) == [number for number in range(count) if number % 33 == 7]
    assert rows == {number: b'"%d"\n' % number for number in range(count) if number % 33 != 7}


def test_look_up_that_fails_does_not_end_the_evaluation(
    make_batch: Callable[..., EventBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    snippets: list[str] = []
    evaluate = rjsonnet.evaluate_snippet

    def counted(name: str, snippet: str, **options: Any) -> str:
        snippets.append(snippet)
        return evaluate(name, snippet, **options)

    monkeypatch.setattr(rjsonnet, "evaluate_snippet", counted)
    events = Events.of(make_batch(*[b"{}"] * 100))

    cells = JsonnetTemplate("[Body('nope'), Header('nope')]").evaluate(events, range(100), 1 << 20, Unwatched())

    assert len(cells.refused) == 100
    assert len(snippets) == 1


def test_every_event_may_fail(make_batch: Callable[..., EventBatch], make_mapping: Callable[..., Mapping]) -> None:
    (segment,) = map_batch(make_mapping(cell="1 / 0"), make_batch(*[b""] * 50))

    assert [failed.offset for failed in segment.failures] == list(range(50))
    assert (segment.csv, segment.offsets, segment.end) == (b"", [], 50)


class StopAfter(Unwatched):
    """A watch whose time is used up after some events."""

    def __init__(self, events: int) -> None:
        self.left = events
        self.seen: list[int] = []

    def at(self, index: int) -> None:
        self.seen.append(index)

    def expired(self) -> bool:
        self.left -= 1
        return self.left <= 0


def test_events_after_the_time_was_used_up_time_out(
    make_batch: Callable[..., EventBatch], make_mapping: Callable[..., Mapping], outcome: Callable[..., Any]
) -> None:
    mapping = make_mapping(cell="std.length(Body())")

    rows, failures = outcome(map_batch(mapping, make_batch(*[b"{}"] * 10), StopAfter(4)))

    assert list(rows) == [0, 1, 2, 3]
    assert {reason for reason, _, _ in failures.values()} == {Reason.TEMPLATE_TIMEOUT}
    assert list(failures) == [4, 5, 6, 7, 8, 9]


def test_watch_sees_each_event_before_it_is_evaluated(make_batch: Callable[..., EventBatch]) -> None:
    events = Events.of(make_batch(b"{}", b"{", b"{}", b"[]"))
    watch = StopAfter(100)

    JsonnetTemplate("std.length(Body()) + 1 / (std.length(Body()) + 1)").evaluate(events, [0, 2, 3], 1000, watch)

    assert sorted(set(watch.seen)) == [0, 2, 3]


def test_more_text_than_allowed_is_too_much_for_several_events_only(make_batch: Callable[..., EventBatch]) -> None:
    events = Events.of(make_batch(b"{}", b"{}"))
    template = JsonnetTemplate("std.repeat('x', 100)")

    with pytest.raises(TooMuch):
        template.evaluate(events, [0, 1], 150, Unwatched())

    assert len(template.evaluate(events, [0], 50, Unwatched()).texts[0]) == 102


def test_much_text_from_many_events_is_mapped_all_the_same(
    make_batch: Callable[..., EventBatch], make_mapping: Callable[..., Mapping], outcome: Callable[..., Any]
) -> None:
    mapping = make_mapping(cell="std.repeat('x', 1000 * 1000)")

    rows, failures = outcome(map_batch(mapping, make_batch(*[b"{}"] * 40)))

    assert len(rows) == 40
    assert failures == {}
