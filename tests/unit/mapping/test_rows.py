from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mapping import events as events_module
from app.mapping import rows as rows_module
from app.mapping.events import Events
from app.mapping.rows import map_batch
from app.mapping.segments import FAILURE_BYTES, MAX_SEGMENT_BYTES
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Mapping

MakeBatch = Callable[..., EventBatch]
MakeMapping = Callable[..., Mapping]
Outcome = Callable[[Sequence[Segment]], Any]


def size(batch: EventBatch, segment: Segment) -> int:
    """What the segment weighs in an envelope, its failures' raw events included."""
    raw = sum(len(batch.bodies[f.offset]) + FAILURE_BYTES + len(f.message.encode()) for f in segment.failures)
    return len(segment.csv) + raw


def test_empty_batch_has_no_segments(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    assert map_batch(make_mapping("id"), make_batch()) == []


def test_offsets_need_not_be_consecutive(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    batch = make_batch(b'{"a":1}', b"{}", b'{"a":3}')
    batch.offsets[:] = [5, 9, 100]

    (segment,) = map_batch(make_mapping(cell="Body('a')"), batch)

    assert (segment.offsets, segment.end) == ([5, 100], 101)
    assert [failed.offset for failed in segment.failures] == [9]


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.sampled_from([0, 10, 200_000, 450_000, 899_000, 1_000_000, 1_048_600, 1_100_000]), max_size=8))
def test_segments_cover_the_batch_in_order_within_their_bound(
    sizes: list[int], make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    """Bodies of "f" fail (they are no JSON), bodies of "1" become rows; both in any size."""
    bodies = [(b"f" if number % 3 == 0 else b"1") * length for number, length in enumerate(sizes)]
    batch = make_batch(*bodies)

    segments = map_batch(make_mapping("body", cell="Header('x', 'y') + BodyStr()[0:0] + std.type(Body('a', 1))"), batch)

    rows, failures = outcome(segments)
    assert sorted([*rows, *failures]) == batch.offsets
    assert not segments or segments[-1].end == len(batch)
    start = 0
    for segment in segments:
        entries = [*segment.offsets, *(failed.offset for failed in segment.failures)]
        assert sorted(entries) == list(range(start, segment.end))
        assert size(batch, segment) <= MAX_SEGMENT_BYTES or len(entries) == 1
        start = segment.end


def test_row_of_one_mebibyte_is_the_largest(make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome) -> None:
    quotes_and_newline = 3
    fits, too_large = b"x" * ((1 << 20) - quotes_and_newline), b"x" * ((1 << 20) - quotes_and_newline + 1)

    rows, failures = outcome(map_batch(make_mapping("body"), make_batch(b"a", too_large, b"b", fits)))

    assert {offset: len(row) for offset, row in rows.items()} == {0: 4, 2: 4, 3: 1 << 20}
    assert {offset: reason for offset, (reason, _, _) in failures.items()} == {1: Reason.ROW_TOO_LARGE}


def test_quotes_count_twice_in_a_rows_size(make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome) -> None:
    _, failures = outcome(map_batch(make_mapping("body"), make_batch(b'"' * 600_000)))

    assert failures[0][0] is Reason.ROW_TOO_LARGE


def test_long_message_is_cut(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    (segment,) = map_batch(make_mapping(cell="error std.repeat('é', 5000)"), make_batch(b"{}"))

    message = segment.failures[0].message
    assert len(message.encode()) <= 4096
    assert message.startswith("éé")
    assert message.endswith("…")


def test_first_failing_column_is_named(make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome) -> None:
    mapping = make_mapping(first="Body('a')", second="Body('b')", third="Body('c')")

    _, failures = outcome(map_batch(mapping, make_batch(b"{}", b'{"a":1}', b'{"a":1,"b":2}', b'{"b":1}')))

    assert {offset: column for offset, (_, column, _) in failures.items()} == {
        0: "first",
        1: "second",
        2: "third",
        3: "first",
    }


def test_body_that_cannot_be_read_wins_over_an_earlier_column(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome
) -> None:
    mapping = make_mapping(first="Header('x')", second="Body('b')")

    _, failures = outcome(map_batch(mapping, make_batch(b"{", b'{"b":1}')))

    assert failures[0][:2] == (Reason.BODY_INVALID, None)
    assert failures[1][:2] == (Reason.TEMPLATE_ERROR, "first")


def test_body_that_no_template_asks_for_may_be_anything(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    mapping = make_mapping(first="Header('x')", second="Header('y')")

    (segment,) = map_batch(mapping, make_batch(b"{"))

    assert segment.failures[0].reason is Reason.TEMPLATE_ERROR


def test_many_bytes_are_mapped_in_runs(
    make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [b'{"n":%d}' % number for number in range(50)]
    whole = outcome(map_batch(make_mapping("body", cell="Body('n') + 1"), make_batch(*bodies)))
    monkeypatch.setattr(rows_module, "MAX_RUN_BYTES", 40)

    in_runs = map_batch(make_mapping("body", cell="Body('n') + 1"), make_batch(*bodies))

    assert len(in_runs) > 5
    assert outcome(in_runs) == whole


def test_part_of_a_batch(make_batch: MakeBatch, make_mapping: MakeMapping, outcome: Outcome) -> None:
    batch = make_batch(*[b'{"n":%d}' % number for number in range(5)])

    rows, _ = outcome(map_batch(make_mapping(cell="Body('n')"), batch, None, 1, 4))

    assert rows == {1: b'"1"\n', 2: b'"2"\n', 3: b'"3"\n'}


def test_body_is_parsed_once_for_all_exports(
    make_batch: MakeBatch, make_mapping: MakeMapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []

    def parse(body: bytes, kind: Any, content_type: str) -> Any:
        parsed.append(body)
        return {"a": "x"}

    monkeypatch.setattr(events_module, "parse_body", parse)
    events = events_module.Events.of(make_batch(b"one", b"two"))
    mapping = make_mapping(first="Body('a')", second="std.length(Body('a'))")

    map_batch(mapping, events)
    map_batch(mapping, events)

    assert parsed == [b"one", b"two"]


@pytest.mark.parametrize(
    "template",
    ["Body('a')", "Body('nope')", "std.length(Body('a'))", "std.length(Body('nope'))", "1 / 0", "Body(function(x) x)"],
)
def test_nothing_holds_the_events_when_they_are_mapped(
    template: str, make_batch: MakeBatch, make_mapping: MakeMapping
) -> None:
    gc.disable()
    try:
        events = Events.of(make_batch(b'{"a":"x"}', b"{", b'{"a":"y"}'))
        held = weakref.ref(events)
        map_batch(make_mapping(cell=template), events)
        del events

        assert held() is None
    finally:
        gc.enable()
