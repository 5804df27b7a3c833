"""Templates whose result is no JSON cell: the filter of an export, and columns with `rawString`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.children import MappingPool
from app.mapping.rows import map_batch
from app.mapping.segments import MAX_SEGMENT_BYTES
from app.mapping.wire import pack_mapping, unpack_mapping
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Column, ColumnType, Mapping

TEXT = [("Content-Type", b"text/plain")]
FOREVER = "local f(n) = if n == 0 then 'x' else f(n - 1) + f(n - 1); f(60) == 'y'"
MakeBatch = Callable[..., EventBatch]
MakeMapping = Callable[..., Mapping]
Outcome = Callable[[Sequence[Segment]], Any]


def filtered(filter: str, *columns: Column) -> Mapping:
    return Mapping("in.c-b.t", columns or (Column("body", ColumnType.BODY),), filter=filter)


# Filter


def test_only_events_that_the_filter_lets_through_are_mapped(make_batch: MakeBatch, outcome: Outcome) -> None:
    batch = make_batch(*[b'{"n":%d}' % number for number in range(6)])

    rows, failures = outcome(map_batch(filtered("Body('n') % 3 == 0"), batch))

    assert (rows, failures) == ({0: b'"{""n"":0}"\n', 3: b'"{""n"":3}"\n'}, {})


@pytest.mark.parametrize("events", [1, 7])
def test_events_that_are_all_filtered_out_are_covered_by_one_segment(make_batch: MakeBatch, events: int) -> None:
    segments = map_batch(filtered("false"), make_batch(*[b"{"] * events))

    assert segments == [Segment(events, b"", [], [])]


@given(fates=st.lists(st.sampled_from(["row", "large row", "fault", "out"]), min_size=1, max_size=12))
def test_segments_cover_rows_faults_and_filtered_events(
    make_batch: MakeBatch, outcome: Outcome, fates: list[str]
) -> None:
    batch = make_batch(*[b"x" * 500_000 if fate == "large row" else fate.encode() for fate in fates], headers=TEXT)
    letter = "(if BodyStr() == 'fault' then error 'no' else BodyStr() != 'out')"

    segments = map_batch(filtered(letter), batch)

    rows, failures = outcome(segments)
    assert list(rows) == [index for index, fate in enumerate(fates) if fate.endswith("row")]
    assert list(failures) == [index for index, fate in enumerate(fates) if fate == "fault"]
    ends = [segment.end for segment in segments]
    assert ends == sorted(set(ends))
    assert ends[-1] == len(fates)
    starts = [0, *ends[:-1]]
    assert all(
        start <= entry < segment.end
        for start, segment in zip(starts, segments, strict=True)
        for entry in (*segment.offsets, *(failed.offset for failed in segment.failures))
    )
    assert all(len(segment.csv) <= MAX_SEGMENT_BYTES for segment in segments)


@pytest.mark.parametrize(
    ("filter", "given_"),
    [
        ("'true'", '"true"'),
        ("1", "1"),
        ("null", "null"),
        ("{a: [true]}", '{"a":[true]}'),
        ("std.repeat('x', 200)", f'"{"x" * 99}…'),
        ("std.repeat('x', 1048577)", "more than 1,048,576 bytes"),
    ],
)
def test_filter_that_gives_no_boolean_is_told_what_it_gave(
    make_batch: MakeBatch, outcome: Outcome, filter: str, given_: str
) -> None:
    rows, failures = outcome(map_batch(filtered(filter), make_batch(b"{}", b"{}")))

    wanted = (Reason.TEMPLATE_ERROR, None, f"filter: it must give true or false, but gave {given_}")
    assert (rows, failures) == ({}, {0: wanted, 1: wanted})


@pytest.mark.parametrize(
    "filter", ["Body('x') == 1", "local x = Body('x'); if x == 1 then true else false", "Body('x')"]
)
def test_filter_that_fails_says_so(make_batch: MakeBatch, outcome: Outcome, filter: str) -> None:
    _, failures = outcome(map_batch(filtered(filter), make_batch(b"{}")))

    assert failures == {0: (Reason.TEMPLATE_ERROR, None, 'filter: path "x" not found in the body')}


def test_body_that_the_filter_cannot_read_is_invalid(make_batch: MakeBatch, outcome: Outcome) -> None:
    rows, failures = outcome(map_batch(filtered("Body('x') == 1"), make_batch(b'{"x":1}', b"{", b'{"x":2}')))

    assert (list(rows), list(failures)) == ([0], [1])
    assert failures[1][:2] == (Reason.BODY_INVALID, None)
    assert failures[1][2].startswith("Invalid JSON: ")


def test_body_that_a_column_cannot_read_wins_over_a_failing_filter(make_batch: MakeBatch, outcome: Outcome) -> None:
    column = Column("x", ColumnType.PATH, path="x")

    _, failures = outcome(map_batch(filtered("Header('x')", column), make_batch(b"{")))

    assert failures[0][0] is Reason.BODY_INVALID


def test_columns_are_not_evaluated_for_what_is_filtered_out(make_batch: MakeBatch, outcome: Outcome) -> None:
    columns = (
        Column("p", ColumnType.PATH, path="x"),
        Column("t", ColumnType.TEMPLATE, template="std.length(Body('x'))"),
    )

    rows, failures = outcome(
        map_batch(filtered("Body('x', null) != null", *columns), make_batch(b"{}", b'{"x":"yz"}', b'{"x":1}'))
    )

    assert rows == {1: b'"""yz""","2"\n'}
    assert [(offset, column) for offset, (_, column, _) in failures.items()] == [(2, "t")]


@pytest.mark.parametrize(
    ("filter", "reason", "message"),
    [
        (
            f"if Body('n') == 3 then {FOREVER} else Body('n') % 2 == 0",
            Reason.TEMPLATE_TIMEOUT,
            "filter: The template did ",
        ),
        (
            "if Body('n') == 3 then std.length(std.makeArray(1e8, function(i) i)) == 1 else Body('n') % 2 == 0",
            Reason.TEMPLATE_MEMORY,
            "filter: The template takes more memory",
        ),
    ],
)
async def test_child_that_is_lost_in_the_filter_costs_the_guilty_event_alone(
    make_batch: MakeBatch, outcome: Outcome, filter: str, reason: Reason, message: str
) -> None:
    pool = MappingPool(1, event_seconds=0.3, memory_mib=256)
    await pool.start()
    try:
        (segments,) = await pool.map([("e/1", filtered(filter))], make_batch(*[b'{"n":%d}' % n for n in range(6)]))
    finally:
        await pool.close()

    rows, failures = outcome(segments)
    assert (list(rows), list(failures), segments[-1].end) == ([0, 2, 4], [3], 6)
    assert failures[3][:2] == (reason, None)
    assert failures[3][2].startswith(message)


def test_filter_goes_to_a_child_and_back() -> None:
    columns = (
        Column("a", ColumnType.PATH, path="x", default="", raw_string=True),
        Column("b", ColumnType.TEMPLATE, True, "1"),
    )

    assert unpack_mapping(pack_mapping(filtered("true", *columns))) == filtered("true", *columns)


# Raw strings


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("'plain'", "plain"),
        ("Body('s')", 'a"b\\\n\x7f'),
        ("local s = Body('s'); s", 'a"b\\\n\x7f'),
        ("''", ""),
        ("'\\u0000'", "\ufffd"),
        ("BodyStr()[0:1]", "{"),
        ("1.5", "1.5"),
        ("null", "null"),
        ("{a: 'x'}", '{"a":"x"}'),
        ("['x']", '["x"]'),
    ],
)
def test_raw_string_of_a_template_has_no_quotes_and_no_escapes(make_batch: MakeBatch, template: str, text: str) -> None:
    column = Column("c", ColumnType.TEMPLATE, template=template, raw_string=True)

    (segment,) = map_batch(Mapping("in.c-b.t", (column,)), make_batch(b'{"s":"a\\"b\\\\\\n\x7f"}'))

    assert segment.csv.decode()[1:-2].replace('""', '"') == text


def test_raw_string_fails_as_the_template_does(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    mapping, batch = make_mapping(c="Body('x')"), make_batch(b'{"x":"y"}', b"{}", b"{")
    raw = replace(mapping, columns=(replace(mapping.columns[0], raw_string=True),))

    (segment,) = map_batch(raw, batch)

    assert segment.csv == b'"y"\n'
    assert segment.failures == map_batch(mapping, batch)[0].failures
