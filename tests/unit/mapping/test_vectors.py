"""The Buffer API's rules and test vectors for templates and columns, as tables; as the design says where we deviate."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.mapping.rows import map_batch
from app.model.event import EventBatch, Failure, Reason
from app.model.receiver import Mapping

JSON = [("Content-Type", b"application/json")]
BODY = b'{"a":{"b":"deep"},"arr":[10,[20,21],{"k":"v"}],"n":null,"t":true,"s":"text","i":7,"f":1.1,"e":{}}'

Cell = Callable[..., str]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("Body('a.b')", '"deep"'),
        ("Body('arr[1][0]')", "20"),
        ("Body('n')", "null"),
        ("Body('n', 'default')", "null"),
        ("Body('t')", "true"),
        ("Body('i')", "7"),
        ("Body('f')", "1.1"),
        ("Body('e')", "{}"),
        ("Body('key1.invalid', 123)", "123"),
        ("Body('s.x', null)", "null"),
        ("Body('arr[3]', 'none')", '"none"'),
        ("Body('.', 'none')", '"none"'),
        ("Body('nope', {b: 1, a: [true, null]})", '{"a":[true,null],"b":1}'),
        ("Body(path='nope', default=1)", "1"),
        ("Body(default=1, path='s')", '"text"'),
        ("Body()", '{"a":{"b":"deep"},"arr":[10,[20,21],{"k":"v"}],"e":{},"f":1.1,"i":7,"n":null,"s":"text","t":true}'),
        ("Body('').s", '"text"'),
        ("Body().i + 1", "8"),
        ("[Body('i'), Body('s')]", '[7,"text"]'),
        ("{z: 1, a: {}, m: []}", '{"a":{},"m":[],"z":1}'),
        ("{hidden:: 1, shown: 2}", '{"shown":2}'),
        ("'x' + {a: 2}", '"x{\\"a\\": 2}"'),
        ("'x' + [1, 2]", '"x[1, 2]"'),
        ("'x' + 1.5", '"x1.5"'),
        ("'x' + null", '"xnull"'),
        ("1 + 'x'", '"1x"'),
        ("std.length(BodyStr())", str(len(BODY))),
        ("Ip()", '"1.2.3.4"'),
        ("Now()", '"2023-01-02T03:04:05.006Z"'),
        ("Now('%Y')", '"2023"'),
        ("Now(format='%F')", '"2023-01-02"'),
        ("std.trim('  a\\n')", '"a"'),
        ("if Body('t') then 'yes' else Body('nope')", '"yes"'),
        ("local x = Body('nope'); 1", "1"),
        ("null", "null"),
        ("'a' // comment", '"a"'),
    ],
)
def test_template_gives_cell(cell: Cell, template: str, text: str) -> None:
    assert cell(template, BODY, JSON) == text


@pytest.mark.parametrize("number", [2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**30])
def test_large_integers_of_a_body_are_doubles(cell: Cell, number: int) -> None:
    body = f'{{"x":{number}}}'.encode()

    assert float(cell("Body('x')", body)) == float(number)
    assert cell("Body().x", body) == cell("Body('x')", body)
    assert cell("Body().x + 0", body) == cell("Body('x')", body)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('quo"te', '"quo\\"te"'),
        ("back\\slash", '"back\\\\slash"'),
        ("\b\f\n\r\t", '"\\b\\f\\n\\r\\t"'),
        ("\x01\x1f", '"\\u0001\\u001f"'),
        ("\x7f\x80\x9f\xa0", '"\\u007f\\u0080\\u009f\xa0"'),
        ("\0", '"\\u0000"'),
        ("<&> é \u2028 \U0001f600", '"<&> é \u2028 \U0001f600"'),
    ],
)
def test_strings_keep_their_quotes_and_escape_only_what_they_must(cell: Cell, text: str, escaped: str) -> None:
    body = text.encode()
    plain = [("Content-Type", b"text/plain")]

    assert cell("BodyStr()", body, plain) == escaped
    assert cell("local x = BodyStr(); x", body, plain) == escaped


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Body('nope')", 'path "nope" not found in the body'),
        ("Body('nope', '<<~~errOnUndefined~~>>')", 'path "nope" not found in the body'),
        ("Body('arr[3]')", 'path "arr[3]" not found in the body'),
        ("Body('.')", 'path "." not found in the body'),
        ("Header('x-header-3')", 'header "X-Header-3" not found'),
        ("Now('%s')", 'datetime format "%s" is invalid: "%s" is not known; allowed: '),
        ("error 'boom'", "boom"),
        ("error 'two\nlines'", "two\nlines"),
        ("1 / 0", "attempted to divide by zero"),
        ("function(x) x", "tried to manifest function"),
        ("Body('s', error 'eager')", "eager"),
        ("Body(1)", 'Body: "path" must be a string, got number'),
        ("Header(null)", 'Header: "header" must be a string, got null'),
        ("Now({})", 'Now: "format" must be a string, got object'),
        ("Body(function(x) x)", "an argument of Body(), Header() or Now() fails or is a function"),
        ("local f(x) = f(x + 1); f(0)", "max stack frames exceeded"),
        ("import 'x'", 'imports are not allowed: "x"'),
        ("importstr '/etc/hostname'", 'imports are not allowed: "/etc/hostname"'),
        ("Ip(1)", "too many args"),
        ("std.native('cell')('x')", "only functions can be called, got null"),
    ],
)
def test_template_fails_with_message(failure: Callable[..., Failure], template: str, message: str) -> None:
    failed = failure(template, BODY)

    assert failed.message.startswith(message)
    assert (failed.reason, failed.column) == (Reason.TEMPLATE_ERROR, "cell")


def test_columns_that_do_not_read_the_body_take_any_bytes(
    make_mapping: Callable[..., Mapping], make_batch: Callable[..., EventBatch]
) -> None:
    batch = make_batch(b"a\xff\0,\n", headers=[("Content-Type", b"image/png")])

    (segment,) = map_batch(make_mapping("body", text="BodyStr()"), batch)

    assert segment.csv.decode() == '"a\ufffd\ufffd,\n","""a\ufffd\\u0000,\\n"""\n'
