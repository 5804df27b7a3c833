"""What `Body()` makes of a body: by Content-Type, of any kind at the top, along every path, and only when it is called.
Source: Buffer API, body parsing, body paths."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.model.event import Failure, Reason

Cell = Callable[..., str]
Fails = Callable[..., Failure]

BODY = (
    b'{"a":{"b":"deep"},"arr":[10,[20,21],{"k":"v"}],"o":{"a":1,"":2},"n":null,"z":"text","t":true,"i":7,'
    b'"1]x":"odd","a]":"odder","0":"digit","x.y":"dotted","x[y":"bracket","e":[]}'
)
FIRST = "line 1 column 1 (char 0)"
WAYS = pytest.mark.parametrize("way", ["{}", "local it = ({}); it"], ids=["alone", "inside"])


@WAYS
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.b", '"deep"'),
        ("arr", '[10,[20,21],{"k":"v"}]'),
        ("arr[0]", "10"),
        ("arr[1][0]", "20"),
        ("arr[2].k", '"v"'),
        ("arr.[2].k", '"v"'),
        ("arr[2][k", '"v"'),
        (".o.a", "1"),
        ("o.", '{"":2,"a":1}'),
        ("o..a", "1"),
        ("o[[a", "1"),
        ("arr[01]", "[20,21]"),
        ("arr[0000000000001]", "[20,21]"),
        ("n", "null"),
        ("0", '"digit"'),
        ("[1]x", '"odd"'),
        ("[a]", '"odder"'),
        ("e", "[]"),
    ],
)
def test_path_leads_to_a_value(cell: Cell, way: str, path: str, text: str) -> None:
    assert cell(way.format(f"Body('{path}')"), BODY) == text
    assert cell(way.format(f"Body('{path}', 'default')"), BODY) == text


@WAYS
@pytest.mark.parametrize(
    "path",
    [
        *["nope", "a.nope", "a.b.c", "arr.0", "arr[3]", "arr[1][2]", "arr[-1]", "arr[1]x", "arr[1", "arr[ 1]", "o[a]"],
        *["[0]", "n.x", "n[0]", "z.x", "z[0]", "t.x", "i.x", "e[0]", "x.y", "x[y", "A.b", "arr[+1]", "arr[1.0]"],
        *["arr[99999999999999999999]", ".", "..", "[", "[.[", " a"],
    ],
)
def test_path_leads_nowhere(cell: Cell, failure: Fails, way: str, path: str) -> None:
    assert cell(way.format(f"Body('{path}', 'default')"), BODY) == '"default"'
    assert failure(way.format(f"Body('{path}')"), BODY).message == f'path "{path}" not found in the body'


@WAYS
@pytest.mark.parametrize(
    ("body", "path", "text"),
    [
        (b"[[1,2],3]", "", "[[1,2],3]"),
        (b"[[1,2],3]", "[0][1]", "2"),
        (b'[{"a":[5]}]', "[0].a[0]", "5"),
        (b"[]", "[0]", '"default"'),
        (b"[1]", "[1]", '"default"'),
        (b"[1]", "0", '"default"'),
        (b'"text"', "", '"text"'),
        (b'"text"', "a", '"default"'),
        (b'"text"', "[0]", '"default"'),
        (b"5.5", "", "5.5"),
        (b"5.5", ".", '"default"'),
        (b"true", "", "true"),
        (b"null", "", "null"),
        (b"null", "a", '"default"'),
        (b' {"a":1} \r\n', "a", "1"),
        (b'{"a":1,"a":2}', "a", "2"),
        (b'{"key":"payload001"}', "key", '"payload001"'),
    ],
)
def test_any_json_may_be_at_the_top(cell: Cell, way: str, body: bytes, path: str, text: str) -> None:
    assert cell(way.format(f"Body('{path}', 'default')"), body) == text


@WAYS
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/foo.api+json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/vnd.api-v1+json ; profile=x",
        "APPLICATION/JSON",
        "application/x-ndjson",
    ],
)
def test_json_by_content_type(cell: Cell, way: str, content_type: str) -> None:
    assert cell(way.format("Body('a')"), b'{"a":1}', [("content-type", content_type.encode())]) == "1"


@WAYS
@pytest.mark.parametrize(
    ("template", "body", "text"),
    [
        ("Body()", b"key1=bar1&key2[]=bar2&key2[]=bar3", '{"key1":"bar1","key2[]":["bar2","bar3"]}'),
        ("Body('col1')+\":\"+Body('col2')", b"col1=val3&col2=val4", '"val3:val4"'),
        ("Body('n')", b"n=1", '"1"'),
        ("Body('a')", b"a=1&a=2", '["1","2"]'),
        ("Body('a[1]')", b"a=1&a=2", '"2"'),
        ("Body('a[2]', 'default')", b"a=1&a=2", '"default"'),
        ("Body('a[0]', 'default')", b"a=1", '"default"'),
        ("Body('a.b', 'default')", b"a.b=1", '"default"'),
        ("Body('a')", b"a=x%20y+z%2B", '"x y z+"'),
        ("Body('a')", b"a", '""'),
        ("Body()", b"", "{}"),
        ("Body('a')", b"a=%ff", '"\ufffd"'),
        ("BodyStr()", b"a=%20", '"a=%20"'),
    ],
)
@pytest.mark.parametrize("parameters", [b"", b"; charset=utf-8"])
def test_form(cell: Cell, way: str, template: str, body: bytes, text: str, parameters: bytes) -> None:
    headers = [("Content-Type", b"application/x-www-form-urlencoded" + parameters)]

    assert cell(way.format(template), body, headers) == text


@WAYS
@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("application/json", b"", "Invalid JSON: the body is empty"),
        ("application/json", b"\n", "Invalid JSON: the body is empty"),
        ("application/json", b"{} x", "Invalid JSON: unexpected content after document: line 1 column 4 (char 3)"),
        (
            "application/json",
            b"1e400",
            "Invalid JSON: number is infinity when parsed as double: line 1 column 1 (char 0)",
        ),
        (
            "application/x-www-form-urlencoded",
            b"a=1;b=2",
            'Invalid form data: ";" does not separate fields, "&" does',
        ),
        (
            "application/x-www-form-urlencoded",
            b"a=%zz",
            'Invalid form data: "%" must be followed by two hexadecimal digits',
        ),
        *(
            (
                other,
                b"{}",
                f'Unsupported content type "{other}", supported types: application/json and '
                "application/x-www-form-urlencoded.",
            )
            for other in ("text/plain", "text/json", "application/jsonx", "application/xml; q=1", "application/+json")
        ),
    ],
)
def test_body_that_cannot_be_read(failure: Fails, way: str, content_type: str, body: bytes, message: str) -> None:
    """Whatever the path, and also when there is a default."""
    for call in ("Body()", "Body('a')", "Body('a', 'default')"):
        failed = failure(way.format(call), body, [("Content-Type", content_type.encode())])

        assert (failed.reason, failed.column, failed.message) == (Reason.BODY_INVALID, None, message)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("BodyStr()", '"{"'),
        ("'literal'", '"literal"'),
        ("Header('x', 'none')", '"none"'),
        ("if Header('x', '') == 'json' then Body('a') else 'not read'", '"not read"'),
        ("local unused = Body('a'); 1", "1"),
        ("{hidden:: Body('a'), shown: 1}", '{"shown":1}'),
        ("false && Body('a')", "false"),
        ("[1, Body()][0]", "1"),
    ],
)
@pytest.mark.parametrize("content_type", [b"application/json", b"image/png"])
def test_body_is_read_only_when_it_is_asked_for(cell: Cell, template: str, text: str, content_type: bytes) -> None:
    assert cell(template, b"{", [("Content-Type", content_type)]) == text
