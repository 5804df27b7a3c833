"""Columns of the type `path`: what is at a place of the body, with the text of its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.mapping import events as events_module
from app.mapping.events import Events
from app.mapping.faults import Unwatched
from app.mapping.path_columns import PathColumn
from app.mapping.rows import map_batch
from app.model.event import EventBatch, Reason, Segment
from app.model.receiver import Column, ColumnType, Mapping

FORM = [("Content-Type", b"application/x-www-form-urlencoded")]
BODY = (
    b'{"a": {"b": "deep"}, "arr": [10, [20, 2.50], {"k": "v"}], "n": null, "t": true, "f": false, "s": "t\\u00e9xt",'
    b' "z": {"b": 1, "a": 0.10}, "zero": 0, "e": {}, "id": 12345678901234567890123}'
)
MakeBatch = Callable[..., EventBatch]
Outcome = Callable[[Sequence[Segment]], Any]


def mapping(path: str, default: str | None = None, raw_string: bool = False) -> Mapping:
    column = Column("cell", ColumnType.PATH, path=path, default=default, raw_string=raw_string)
    return Mapping("in.c-bucket.table", (column,))


@pytest.fixture
def cell(make_batch: MakeBatch) -> Callable[..., str]:
    """cell(body, path, ..., headers=[...]): the cell of one event."""

    def look(body: bytes, path: str, headers: Sequence[tuple[str, bytes]] = (), **others: Any) -> str:
        (segment,) = map_batch(mapping(path, **others), make_batch(body, headers=headers))
        assert not segment.failures, segment.failures
        return segment.csv.decode()[1:-2].replace('""', '"')

    return look


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.b", '"deep"'),
        ("a", '{"b":"deep"}'),
        ("arr[1][0]", "20"),
        ("arr[1]", "[20,2.50]"),
        ("arr.[2].k", '"v"'),
        ("n", "null"),
        ("t", "true"),
        ("f", "false"),
        ("s", '"téxt"'),
        ("z", '{"b":1,"a":0.10}'),
        ("zero", "0"),
        ("e", "{}"),
        ("id", "12345678901234567890123"),
    ],
)
@pytest.mark.parametrize("neighbour", [None, b"{}"], ids=["alone", "beside an event without it"])
def test_value_at_a_path_is_compact_json(
    make_batch: MakeBatch, outcome: Outcome, path: str, text: str, neighbour: bytes | None
) -> None:
    batch = make_batch(BODY, *([] if neighbour is None else [neighbour]))

    rows, _ = outcome(map_batch(mapping(path), batch))

    assert rows[0].decode()[1:-2].replace('""', '"') == text


@pytest.mark.parametrize("path", ["", ".", "[", ".[."])
def test_path_without_parts_is_the_whole_body(cell: Callable[..., str], path: str) -> None:
    assert cell(b' [1.0, {"b": 2, "a": 1}] ', path) == '[1.0,{"b":2,"a":1}]'


@pytest.mark.parametrize(
    ("body", "path", "text"), [(b"[[1,2],3]", "[0][1]", "2"), (b'"text"', "", '"text"'), (b"-0", "", "-0")]
)
def test_any_json_may_be_at_the_top(cell: Callable[..., str], body: bytes, path: str, text: str) -> None:
    assert cell(body, path) == text


NUMBERS = ["1.10", "-0", "-0.0", "0.10", "1E5", "1e-400", "9007199254740993", "18446744073709551616", "1" * 300, "0"]
number_texts = st.from_regex(r"\A-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?\Z")


@given(
    texts=st.lists(number_texts | st.sampled_from(NUMBERS), min_size=1, max_size=5), spaces=st.sampled_from(["", " "])
)
@example(texts=NUMBERS, spaces="")
def test_numbers_keep_their_text(make_batch: MakeBatch, texts: list[str], spaces: str) -> None:
    bodies = [f'{{"x":{spaces}{text}{spaces},"s":"-0"}}'.encode() for text in texts]
    bodies.append(f'{{"x":[{",".join(texts)}],"y":{{"x":{texts[0]}}}}}'.encode())

    (alone,) = map_batch(mapping("x"), make_batch(*bodies))
    (nested,) = map_batch(mapping("y"), make_batch(bodies[-1]))

    assert alone.csv.decode() == "".join(f'"{text}"\n' for text in [*texts, f"[{','.join(texts)}]"])
    assert nested.csv.decode() == f'"{{""x"":{texts[0]}}}"\n'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(), items, max_size=4),
    max_leaves=12,
)


@given(value=json_values, raw_string=st.booleans(), ascii=st.booleans())
def test_cell_says_what_the_body_says(make_batch: MakeBatch, value: Any, raw_string: bool, ascii: bool) -> None:
    body = json.dumps({"x": value}, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    events = Events.of(make_batch(body))

    (text,) = PathColumn("x", None, raw_string).evaluate(events, [0], 1 << 20, Unwatched()).texts

    seen = value if type(value) is not str else json.loads(json.dumps(orjson.loads(orjson.dumps(value))))
    if raw_string and type(value) is str:
        assert text == seen
    else:
        assert json.loads(text) == seen
        assert text == text.strip()


@pytest.mark.parametrize("levels", [252, 253, 900, 1022])
def test_value_is_as_deep_as_a_body_may_be(cell: Callable[..., str], levels: int) -> None:
    inner = "[" * (levels - 1) + '{"é":1.50,"b":[]}' + "]" * (levels - 1)

    assert cell(f'{{"x": {inner}}}'.encode(), "x") == inner


def test_number_beside_a_deep_value_keeps_its_text(cell: Callable[..., str]) -> None:
    body = b'{"deep":' + b"[" * 1022 + b"]" * 1022 + b',"x":1.10}'

    assert cell(body, "x") == "1.10"


@pytest.mark.parametrize(
    ("value", "as_json", "raw"),
    [
        ('"a\\"b\\\\\\n"', '"a\\"b\\\\\\n"', 'a"b\\\n'),
        ('"\\u007f\\u0080"', '"\\u007f\\u0080"', "\x7f\x80"),
        ('"\\u0000"', '"\\u0000"', "\ufffd"),
        ('"\\ud800"', '"\ufffd"', "\ufffd"),
        ('{"k\\u007f":1.0}', '{"k\\u007f":1.0}', '{"k\\u007f":1.0}'),
        ('["\\ud800",1.0]', '["\ufffd",1.0]', '["\ufffd",1.0]'),
        ("5", "5", "5"),
        ("null", "null", "null"),
        ('"null"', '"null"', "null"),
        ('""', '""', ""),
    ],
)
def test_raw_string_has_no_quotes_and_no_escapes(cell: Callable[..., str], value: str, as_json: str, raw: str) -> None:
    body = f'{{"x":{value}}}'.encode()

    assert (cell(body, "x"), cell(body, "x", raw_string=True)) == (as_json, raw)


@pytest.mark.parametrize("path", ["nope", "s.x", "arr[3]", "arr.0", "s[0]", "n.x", "[0]"])
def test_default_stands_for_what_is_not_there(cell: Callable[..., str], path: str) -> None:
    assert cell(BODY, path, default='"d"') == '"\\"d\\""'
    assert cell(BODY, path, default='"d"', raw_string=True) == '"d"'
    assert cell(BODY, path, default="") == '""'
    assert cell(BODY, path, default="", raw_string=True) == ""


def test_null_that_is_there_is_no_default(cell: Callable[..., str]) -> None:
    assert cell(BODY, "n", default="d") == "null"


def test_missing_value_without_default_fails_and_names_the_column(make_batch: MakeBatch, outcome: Outcome) -> None:
    rows, failures = outcome(map_batch(mapping("a.x"), make_batch(b'{"a":{"x":1}}', b"{}", b'{"a":{"x":2}}')))

    assert rows == {0: b'"1"\n', 2: b'"2"\n'}
    assert failures == {1: (Reason.TEMPLATE_ERROR, "cell", 'path "a.x" not found in the body')}


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"", []), (b"{", []), (b'{"x":1e400}', []), (b"NaN", []), (b"a=%zz", FORM), (b"{}", [("Content-Type", b"a/b")])],
)
def test_body_that_no_template_can_read_is_invalid_here_too(
    make_batch: MakeBatch, make_mapping: Callable[..., Mapping], body: bytes, headers: Sequence[tuple[str, bytes]]
) -> None:
    batch = make_batch(body, headers=headers)

    (segment,) = map_batch(mapping("x", default="d"), batch)

    assert segment.failures == map_batch(make_mapping(cell="Body('x', 'd')"), batch)[0].failures
    assert (segment.failures[0].reason, segment.failures[0].column) == (Reason.BODY_INVALID, None)


@pytest.mark.parametrize(
    ("path", "text", "raw"), [("b", '"1.0"', "1.0"), ("a", '["1","2"]', '["1","2"]'), ("a[1]", '"2"', "2")]
)
def test_forms_have_strings_and_lists_of_them(cell: Callable[..., str], path: str, text: str, raw: str) -> None:
    body = b"a=1&a=2&b=1.0"

    assert (cell(body, path, FORM), cell(body, path, FORM, raw_string=True)) == (text, raw)


def test_body_is_parsed_once_more_for_all_columns_together(
    make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    parse = events_module.parse_json_exactly
    monkeypatch.setattr(events_module, "parse_json_exactly", lambda body: parsed.append(body) or parse(body))
    columns = tuple(Column(name, ColumnType.PATH, path=name) for name in "abc")
    bodies = [b'{"a":"-0","b":1,"c":true}', b'{"a":1.5,"b":2.5,"c":3.5}']

    map_batch(Mapping("in.c-b.t", columns), make_batch(*bodies))

    assert parsed == bodies[1:]


def test_exact_values_of_large_bodies_are_not_kept(make_batch: MakeBatch) -> None:
    body = b"[" + b"1.5," * (events_module.EXACT_BYTES // 8) + b"1]"
    events = Events.of(make_batch(body, body, body))

    kept = [events.exact_value(index) is events.exact_value(index) for index in range(3)]

    assert kept == [True, False, False]


def test_cells_that_are_too_much_together_are_mapped_in_parts(
    make_batch: MakeBatch, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.mapping.rows.MAX_CELL_CHARS", 100)
    bodies = [orjson.dumps({"x": "y" * 40}) for _ in range(9)]

    segments = map_batch(mapping("x"), make_batch(*bodies))

    assert len(segments) > 2
    assert sorted(outcome(segments)[0]) == list(range(9))


def test_time_that_is_used_up_fails_the_rest(make_batch: MakeBatch, outcome: Outcome) -> None:
    class Expired(Unwatched):
        def expired(self) -> bool:
            return True

    rows, failures = outcome(map_batch(mapping("x"), make_batch(b'{"x":1}', b'{"x":1.5}', b'{"x":2}'), Expired()))

    assert rows == {}
    assert [reason for reason, _, _ in failures.values()] == [Reason.TEMPLATE_TIMEOUT] * 3
