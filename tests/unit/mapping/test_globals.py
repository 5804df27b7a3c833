"""The globals of a template, call by call: arguments by place and by name, defaults, wrong types. Source: Buffer API,
signatures, headers. Every call is made twice, as a template of its own and in the middle of one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.mapping.templates import check_template
from app.model.event import Failure, Reason

Cell = Callable[..., str]
Fails = Callable[..., Failure]

BODY = b'{"s":"text","n":null,"o":{"k":[1,2]},"":"empty key"}'
HEADERS = [("content-type", b"application/json"), ("X-Id", b"1"), ("x-id", b"2"), ("X-Empty", b""), ("x y", b"odd")]
ALL_HEADERS = '{"Content-Type":"application/json","X-Empty":"","X-Id":"1","x y":"odd"}'
NOT_CALLABLE = "an argument of Body(), Header() or Now() fails or is a function"

CALLS = [
    ("Ip()", '"1.2.3.4"'),
    ("Now()", '"2023-01-02T03:04:05.006Z"'),
    ("Now('%d/%m')", '"02/01"'),
    ("Now(format='%d/%m')", '"02/01"'),
    ("Now('')", '""'),
    ("HeaderStr()", '"Content-Type: application/json\\nX-Empty: \\nX-Id: 1\\nx y: odd\\n"'),
    ("Header()", ALL_HEADERS),
    ("Header('')", ALL_HEADERS),
    ("Header('', 'default')", ALL_HEADERS),
    ("Header(header='')", ALL_HEADERS),
    ("Header(default='default')", ALL_HEADERS),
    ("Header('x-id')", '"1"'),
    ("Header('X-ID')", '"1"'),
    ("Header(header='x-Id')", '"1"'),
    ("Header('x-id', 'default')", '"1"'),
    ("Header(default='default', header='x-id')", '"1"'),
    ("Header('x y')", '"odd"'),
    ("Header('X y', 'default')", '"default"'),
    ("Header('x-empty', 'default')", '""'),
    ("Header('none', 'default')", '"default"'),
    ("Header('none', null)", "null"),
    ("Header('none', default=false)", "false"),
    ("Header('none', 1.5)", "1.5"),
    ("Header('none', [1, {a: null}])", '[1,{"a":null}]'),
    ("Header('none', {b: 1, a: 'x'})", '{"a":"x","b":1}'),
    ("BodyStr()", '"{\\"s\\":\\"text\\",\\"n\\":null,\\"o\\":{\\"k\\":[1,2]},\\"\\":\\"empty key\\"}"'),
    ("Body()", '{"":"empty key","n":null,"o":{"k":[1,2]},"s":"text"}'),
    ("Body('')", '{"":"empty key","n":null,"o":{"k":[1,2]},"s":"text"}'),
    ("Body('', 'default')", '{"":"empty key","n":null,"o":{"k":[1,2]},"s":"text"}'),
    ("Body(default='default')", '{"":"empty key","n":null,"o":{"k":[1,2]},"s":"text"}'),
    ("Body('s')", '"text"'),
    ("Body(path='s')", '"text"'),
    ("Body('s', 'default')", '"text"'),
    ("Body('s', default='default')", '"text"'),
    ("Body(default='default', path='s')", '"text"'),
    ("Body('n', 'default')", "null"),
    ("Body('none', 'default')", '"default"'),
    ("Body('none', null)", "null"),
    ("Body('none', true)", "true"),
    ("Body('none', 0)", "0"),
    ("Body('none', [1, {a: null}])", '[1,{"a":null}]'),
    ("Body('none', default={b: 1, a: 'x'})", '{"a":"x","b":1}'),
    ("Body('none', Header('x-id'))", '"1"'),
    ("Body('none', '<<~~errOnUndefined~~>> ')", '"<<~~errOnUndefined~~>> "'),
    ("Body(Body('s'), 'default')", '"default"'),
]

FAILING = [
    ("Body('none')", 'path "none" not found in the body'),
    ("Body(path='o.k[2]')", 'path "o.k[2]" not found in the body'),
    ("Body('none', '<<~~errOnUndefined~~>>')", 'path "none" not found in the body'),
    ("Body(default='<<~~errOnUndefined~~>>', path='none')", 'path "none" not found in the body'),
    ("Header('x-HEADER-3')", 'header "X-Header-3" not found'),
    ("Header('X y')", 'header "X y" not found'),
    ("Header('none', '<<~~errOnUndefined~~>>')", 'header "None" not found'),
    # Arguments are evaluated whether they are needed or not.
    ("Body('s', error 'eager')", "eager"),
    ("Body('s', 1 / 0)", "attempted to divide by zero"),
    ("Body('s', default=Body('none'))", 'path "none" not found in the body'),
    ("Body('', error 'eager')", "eager"),
    ("Header('x-id', error 'eager')", "eager"),
    ("Header('', error 'eager')", "eager"),
    ("Now(error 'eager')", "eager"),
    # Types.
    ("Body(null)", 'Body: "path" must be a string, got null'),
    ("Body(true)", 'Body: "path" must be a string, got boolean'),
    ("Body(0)", 'Body: "path" must be a string, got number'),
    ("Body(1.5)", 'Body: "path" must be a string, got number'),
    ("Body([])", 'Body: "path" must be a string, got array'),
    ("Body(path={})", 'Body: "path" must be a string, got object'),
    ("Body(null, 'default')", 'Body: "path" must be a string, got null'),
    ("Body(function(x) x)", NOT_CALLABLE),
    ("Body('none', function(x) x)", NOT_CALLABLE),
    ("Header(null)", 'Header: "header" must be a string, got null'),
    ("Header(false)", 'Header: "header" must be a string, got boolean'),
    ("Header(1)", 'Header: "header" must be a string, got number'),
    ("Header(header=[])", 'Header: "header" must be a string, got array'),
    ("Header({})", 'Header: "header" must be a string, got object'),
    ("Header(function(x) x)", NOT_CALLABLE),
    ("Header('none', function(x) x)", NOT_CALLABLE),
    ("Now(null)", 'Now: "format" must be a string, got null'),
    ("Now(true)", 'Now: "format" must be a string, got boolean'),
    ("Now(1)", 'Now: "format" must be a string, got number'),
    ("Now(format=[])", 'Now: "format" must be a string, got array'),
    ("Now({})", 'Now: "format" must be a string, got object'),
    ("Now(function(x) x)", NOT_CALLABLE),
    # What is not in the signature.
    ("Ip(1)", "too many args, function has 0"),
    ("HeaderStr(1)", "too many args, function has 0"),
    ("BodyStr(1)", "too many args, function has 0"),
    ("Now('%Y', 1)", "too many args, function has 1"),
    ("Header('a', 1, 2)", "too many args, function has 2"),
    ("Body('a', 1, 2)", "too many args, function has 2"),
    ("Ip(x=1)", "parameter x is not defined"),
    ("Now(fmt='%Y')", "parameter fmt is not defined"),
    ("Header(name='a')", "parameter name is not defined"),
    ("Body(key='a')", "parameter key is not defined"),
    ("Body('a', path='a')", "argument path is already bound"),
]

WAYS = pytest.mark.parametrize("way", ["{}", "local it = ({}); it"], ids=["alone", "inside"])


@WAYS
@pytest.mark.parametrize(("call", "text"), CALLS)
def test_call_gives_cell(cell: Cell, way: str, call: str, text: str) -> None:
    assert cell(way.format(call), BODY, HEADERS) == text


@WAYS
@pytest.mark.parametrize(("call", "message"), FAILING)
def test_call_fails_with_message(failure: Fails, way: str, call: str, message: str) -> None:
    failed = failure(way.format(call), BODY, HEADERS)

    assert failed.message.split("\n")[0] == message
    assert (failed.reason, failed.column) == (Reason.TEMPLATE_ERROR, "cell")


def test_wrong_calls_may_be_saved_like_right_ones() -> None:
    check_template("[" + ",".join(call for call, _ in [*CALLS, *FAILING]) + "]")


def test_event_without_headers(cell: Cell) -> None:
    assert cell("[Header(), HeaderStr(), Header('x', 'none')]", b"", []) == '[{},"","none"]'
