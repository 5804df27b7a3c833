"""Splitting a body into events: the very bytes of each element, and only when the body says that it holds many."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.media import BodyKind
from app.api.split import at_once, members, split_array, split_body, split_lines
from app.model.errors import BadRequest, PayloadTooLarge

MOST = 10_000


def elements_of(body: bytes, most: int = MOST) -> list[bytes]:
    return at_once(split_array(body, most))


SPACE = st.text(" \t\r\n", max_size=3)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ELEMENT = st.builds(
    lambda value, ascii_only, indent: json.dumps(value, ensure_ascii=ascii_only, indent=indent),
    VALUE,
    st.booleans(),
    st.sampled_from([None, 2]),
)


@settings(deadline=None)
@given(st.lists(ELEMENT, max_size=6), st.data())
def test_elements_are_the_bytes_between_brackets_and_commas(elements: list[str], data: st.DataObject) -> None:
    padded = [data.draw(SPACE) + element + data.draw(SPACE) for element in elements]
    body = data.draw(SPACE) + "[" + (",".join(padded) or data.draw(SPACE)) + "]" + data.draw(SPACE)

    assert elements_of(body.encode()) == [element.encode() for element in elements]


@settings(deadline=None)
@given(st.text('[]{},:"\\ truefalsn0123.eE-+\n', max_size=20).map(lambda text: f"[{text}]"))
def test_accepts_exactly_what_the_standard_parser_accepts(text: str) -> None:
    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        expected = json.loads(text, parse_constant=no_constant)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            elements_of(text.encode())
    else:
        assert [json.loads(event) for event in elements_of(text.encode())] == expected


@pytest.mark.parametrize(
    "element",
    [
        b"12345678901234567890123456789",
        b"1.10",
        b"1e400",
        b"9" * 5000,
        b'{"b":1,"a":2,"b":3}',
        b'"\\u00e9\\/"',
        '"žluťoučký 🐎"'.encode(),
        b'{"a":"},{","b":[[{}],[]]}',
    ],
)
def test_texts_that_a_second_encoding_would_change_survive(element: bytes) -> None:
    assert elements_of(b"[" + element + b" , 1,\n" + element + b"]") == [element, b"1", element]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"[1,2", 'expected "," or "]" at character 4'),
        (b"[1,]", "char 3"),
        (b"[1 2]", 'expected "," or "]" at character 3'),
        (b"[1] x", "more after its end, at character 4"),
        (b"[NaN]", "NaN is not JSON"),
        (b'["\xff"]', "not UTF-8 at byte 2"),
        (b"[" * 100_000, "nested too deep"),
        (b"[", "char 1"),
        (b"{}", 'expected "[" at character 0'),
    ],
)
def test_broken_array_says_what_is_wrong_and_where(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        elements_of(body)

    assert complaint in str(caught.value)


@settings(deadline=None)
@given(
    st.lists(st.binary(min_size=1).filter(lambda line: line.strip(b" \t\r\n") and b"\n" not in line), max_size=5),
    st.sampled_from([5, MOST]),
)
def test_lines_come_back_without_their_ends_and_blank_ones(lines: list[bytes], most: int) -> None:
    lines = [line.removesuffix(b"\r") for line in lines]
    lines = [line for line in lines if line.strip(b" \t\r\n") and not line.endswith(b"\r")]
    body = b"\n" + b"\r\n \n".join(lines) + b"\n\r\n"

    assert split_lines(body, most) == lines


@pytest.mark.parametrize(
    ("kind", "body", "events"),
    [
        (BodyKind.JSON, b" [1, 2]", [b"1", b"2"]),
        (BodyKind.UNSAID, b"[1]", [b"1"]),
        (BodyKind.JSON, b"[]", []),
        (BodyKind.JSON, b'{"a": [1, 2]}', None),
        (BodyKind.JSON, b"", None),
        (BodyKind.OTHER, b"[1, 2]", None),
        (BodyKind.UNSAID, b"[info] started", None),
        (BodyKind.NDJSON, b'{"a":1}\n\n{broken\n', [b'{"a":1}', b"{broken"]),
        (BodyKind.NDJSON, b"[1,2]\n", [b"[1,2]"]),
        (BodyKind.NDJSON, b"", []),
        (BodyKind.UNSAID, b"\xef\xbb\xbf[1, 2]", [b"1", b"2"]),
        (BodyKind.NDJSON, b"\xef\xbb\xbf1\n2", [b"1", b"2"]),
        (BodyKind.JSON, b"\xef\xbb\xbf{}", None),
    ],
)
def test_body_is_many_events_only_when_it_says_so(kind: BodyKind, body: bytes, events: list[bytes] | None) -> None:
    assert at_once(split_body(body, kind, MOST)) == events


def test_broken_array_that_is_called_json_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"does not parse, so none of its events was taken: .*char"):
        at_once(split_body(b"[1,", BodyKind.JSON, MOST))


@pytest.mark.parametrize("body", [b"[1,2,3]", b"[" + b"1," * 50_000])
def test_array_with_more_elements_than_may_be_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadTooLarge, match="maximum is 2 in one request"):
        elements_of(body, 2)


@pytest.mark.parametrize("body", [b"1\n2\n3", b"1\n\n2\r\n\n\n3\n"])
def test_more_lines_than_may_be_are_refused_and_blank_ones_do_not_count(body: bytes) -> None:
    assert split_lines(body, 3) == [b"1", b"2", b"3"]
    with pytest.raises(PayloadTooLarge, match="maximum is 2 in one request"):
        split_lines(body, 2)


@pytest.mark.parametrize("kind", [BodyKind.JSON, BodyKind.NDJSON])
def test_small_elements_in_great_number_take_no_more_memory_than_a_few_bodies(kind: BodyKind) -> None:
    body = b"[" + b"1," * 1_000_000 + b"1]" if kind is BodyKind.JSON else b"1\n" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            at_once(split_body(body, kind, 10_000))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 3 * len(body)


@settings(deadline=None)
@given(st.dictionaries(st.text(), ELEMENT, max_size=5), st.data())
def test_members_are_the_texts_between_colons_and_commas(found: dict[str, str], data: st.DataObject) -> None:
    def padded(text: str) -> str:
        return data.draw(SPACE) + text + data.draw(SPACE)

    inside = ",".join(padded(json.dumps(name)) + ":" + padded(text) for name, text in found.items())

    body = padded("{" + (inside or data.draw(SPACE)) + "}").encode()

    assert members(body) == {name: text.encode() for name, text in found.items()}


@settings(deadline=None)
@given(st.text('{}[],:" a1', max_size=12).map(lambda text: "{" + text + "}"))
def test_members_are_found_exactly_where_the_standard_parser_finds_them(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            members(text.encode())
    else:
        assert {name: json.loads(value) for name, value in members(text.encode()).items()} == expected
