"""Splitting a body into events: the very bytes of each element, and only when the body says that it holds many."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.split import BodyKind, body_kind, split_array, split_body, split_lines, split_request
from app.model.errors import BadRequest

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

    assert split_array(body.encode()) == [element.encode() for element in elements]


@settings(deadline=None)
@given(st.text('[]{},:"\\ truefalsn0123.eE-+\n', max_size=20).map(lambda text: f"[{text}]"))
def test_accepts_exactly_what_the_standard_parser_accepts(text: str) -> None:
    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        expected = json.loads(text, parse_constant=no_constant)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            split_array(text.encode())
    else:
        assert [json.loads(event) for event in split_array(text.encode())] == expected


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
    assert split_array(b"[" + element + b" , 1,\n" + element + b"]") == [element, b"1", element]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"[1,2", 'expected "," or "]" at character 4'),
        (b"[1,]", "char 3"),
        (b"[1 2]", 'expected "," or "]" at character 3'),
        (b"[1] x", "more after the array, at character 4"),
        (b"[NaN]", "NaN is not JSON"),
        (b'["\xff"]', "not UTF-8 at byte 2"),
        (b"[" * 100_000, "nested too deep"),
        (b"[", "char 1"),
        (b"{}", 'expected "[" at character 0'),
    ],
)
def test_broken_array_says_what_is_wrong_and_where(body: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        split_array(body)

    assert complaint in str(caught.value)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1).filter(lambda line: line.strip(b" \t\r\n") and b"\n" not in line), max_size=5))
def test_lines_come_back_without_their_ends_and_blank_ones(lines: list[bytes]) -> None:
    lines = [line.removesuffix(b"\r") for line in lines]
    lines = [line for line in lines if line.strip(b" \t\r\n") and not line.endswith(b"\r")]
    body = b"\n" + b"\r\n \n".join(lines) + b"\n\r\n"

    assert split_lines(body) == lines


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (None, BodyKind.UNSAID),
        (b"application/json", BodyKind.JSON),
        (b"Application/JSON; charset=utf-8", BodyKind.JSON),
        (b"application/foo.api+json", BodyKind.JSON),
        (b"application/x-ndjson", BodyKind.NDJSON),
        (b"application/jsonl;charset=utf-8", BodyKind.NDJSON),
        (b"text/json", BodyKind.OTHER),
        (b"application/jsonx", BodyKind.OTHER),
        (b"", BodyKind.OTHER),
        (b"\xff\xfe", BodyKind.OTHER),
    ],
)
def test_content_type_says_how_to_read_the_body(content_type: bytes | None, kind: BodyKind) -> None:
    assert body_kind(content_type) is kind


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
    ],
)
def test_body_is_many_events_only_when_it_says_so(kind: BodyKind, body: bytes, events: list[bytes] | None) -> None:
    assert split_body(body, kind) == events


@pytest.mark.parametrize(
    ("headers", "events"),
    [
        ({}, [b"1", b"2"]),
        ({"Content-Type": b"application/json"}, [b"1", b"2"]),
        ({"Content-Type": b"text/plain"}, None),
        ({"Content-Type": b"application/json", "Content-Encoding": b"gzip"}, None),
    ],
)
def test_request_is_split_by_its_headers(headers: dict[str, bytes], events: list[bytes] | None) -> None:
    assert split_request(b"[1,2]", headers) == events


def test_broken_array_that_is_called_json_is_refused() -> None:
    with pytest.raises(BadRequest, match=r"does not parse, so none of its events was taken: .*char"):
        split_body(b"[1,", BodyKind.JSON)
