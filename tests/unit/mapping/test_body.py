from __future__ import annotations

from typing import Any

import pytest

from app.mapping.body import BodyInvalid, BodyKind, body_kind, parse_form, parse_json


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("", BodyKind.JSON),
        ("application/json", BodyKind.JSON),
        ("application/json; charset=utf-8", BodyKind.JSON),
        ("Application/JSON", BodyKind.JSON),
        ("application/foo.api+json", BodyKind.JSON),
        ("application/x-www-form-urlencoded;charset=utf-8", BodyKind.FORM),
        ("text/plain", BodyKind.OTHER),
        ("application/jsonx", BodyKind.OTHER),
        ("text/json", BodyKind.OTHER),
        ("application/a/b+json", BodyKind.OTHER),
    ],
)
def test_content_type_says_how_to_read_the_body(content_type: str, kind: BodyKind) -> None:
    assert body_kind(content_type) is kind


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' {"a":1} \n', {"a": 1}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"[1]", [1]),
        (b'"x"', "x"),
        (b"null", None),
        (b'"a\xffb"', "a\ufffdb"),
        (rb'"\ud83d\ude00 \ud83d \\ud83d \ude00\ud83d"', "\U0001f600 \ufffd \\ud83d \ufffd\ufffd"),
        (rb'"\u0000\u00e9"', "\0é"),
    ],
)
def test_json_is_parsed(body: bytes, value: Any) -> None:
    assert parse_json(body) == value


def test_so_many_levels_are_parsed() -> None:
    value = parse_json(b"[" * 1024 + b"]" * 1024)

    depth = 1
    while value:
        (value,) = value
        depth += 1
    assert depth == 1024


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Invalid JSON: the body is empty"),
        (b" \n", "Invalid JSON: the body is empty"),
        (b"{", "Invalid JSON: "),
        (b"{} x", "Invalid JSON: unexpected content after document"),
        (b"1e400", "Invalid JSON: number is infinity"),
        (b"NaN", "Invalid JSON: "),
        (b"\xef\xbb\xbf{}", "Invalid JSON: UTF-8 byte order mark"),
        (b"[" * 1025 + b"]" * 1025, "Invalid JSON: depth limit exceeded"),
        (b"[" * 100_000 + b"]" * 100_000, "Invalid JSON: depth limit exceeded"),
        (b'{"a":"\xff"', "Invalid JSON: "),
    ],
)
def test_bad_json_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        parse_json(body)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"col1=val3&col2=val4", {"col1": "val3", "col2": "val4"}),
        (b"key1=bar1&key2[]=bar2&key2[]=bar3", {"key1": "bar1", "key2[]": ["bar2", "bar3"]}),
        (b"a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        (b"a+b=%C3%A9+%2B&&c&=d", {"a b": "é +", "c": "", "": "d"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=%ff", {"a": "\ufffd"}),
        (b"", {}),
    ],
)
def test_form_is_parsed(body: bytes, fields: dict[str, Any]) -> None:
    assert parse_form(body) == fields


@pytest.mark.parametrize("body", [b"a=1;b=2", b"a=%zz", b"a=%2", b"%=1"])
def test_bad_form_is_refused(body: bytes) -> None:
    with pytest.raises(BodyInvalid, match=r"^Invalid form data: "):
        parse_form(body)
