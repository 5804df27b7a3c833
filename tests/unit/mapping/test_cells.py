"""From a value to CSV text: results of every kind, text made of them, numbers, columns of every type, quoting, NUL and
what is no UTF-8. Source: Buffer API, result to cell, numbers, columns, CSV; design: numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest

from app.mapping.rows import map_batch
from app.model.event import EventBatch, Failure, Reason
from app.model.receiver import Mapping

Cell = Callable[..., str]
MakeBatch = Callable[..., EventBatch]
MakeMapping = Callable[..., Mapping]

PLAIN = [("Content-Type", b"text/plain")]


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("'val1:val2'", '"val1:val2"'),
        ("'---'+'payload001'+'---'", '"---payload001---"'),
        ("''", '""'),
        ("'trailing newlines\\n\\n'", '"trailing newlines\\n\\n"'),
        ("{b: [1, {d: 2, c: 3}], a: 1}", '{"a":1,"b":[1,{"c":3,"d":2}]}'),
        ("{}", "{}"),
        ("{[if false then 'gone']: 1, 'é \"q\"': 2}", '{"é \\"q\\"":2}'),
        ("{hidden:: 1, f(x):: x, forced::: 2}", '{"forced":2}'),
        ("[3, 1, 'a', null, true, {}, []]", '[3,1,"a",null,true,{},[]]'),
        ("[]", "[]"),
        ("null", "null"),
        ("true", "true"),
        ("false", "false"),
        ("3", "3"),
    ],
)
def test_result_is_compact_json(cell: Cell, template: str, text: str) -> None:
    assert cell(template) == text


@pytest.mark.parametrize(
    "template", ["function(x) x", "Body", "'x' + Body", "[Ip]", "{f: function(x) x}", "std.length"]
)
def test_function_is_no_result(failure: Callable[..., Failure], template: str) -> None:
    failed = failure(template)

    assert (failed.reason, failed.message) == (Reason.TEMPLATE_ERROR, "tried to manifest function")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{a: 2}", '{"a": 2}'),
        ("{b: {d: 1, c: [null]}, a: 'é'}", '{"a": "é", "b": {"c": [null], "d": 1}}'),
        ("{}", "{ }"),
        ("[1, 'a', [true]]", '[1, "a", [true]]'),
        ("[]", "[ ]"),
        ("null", "null"),
        ("true", "true"),
        ("'text'", "text"),
        ("1", "1"),
        ("1.5", "1.5"),
        ("1.1", "1.1"),
        ("-0.0", "-0"),
        ("1e21", "1000000000000000000000"),
        ("1e-7", "0.0000001"),
    ],
)
@pytest.mark.parametrize("source", ["literal", "body"])
def test_text_and_value_are_one_text_in_jsonnets_own_form(cell: Cell, value: str, text: str, source: str) -> None:
    escaped = text.replace('"', '\\"')
    if source == "literal":
        assert cell(f"'<' + {value} + '>'") == f'"<{escaped}>"'
        assert cell(f"{value} + '>'") == f'"{escaped}>"'
    else:
        body = b'{"x":%s}' % _as_json(value).encode()
        assert cell("'<' + Body('x') + '>'", body) == f'"<{escaped}>"'
        assert cell("Body('x') + '>'", body) == f'"{escaped}>"'


def _as_json(value: str) -> str:
    """A Jsonnet literal of this module as JSON."""
    for name in "abcd":
        value = value.replace(f"{name}: ", f'"{name}": ')
    return value.replace("'", '"')


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"),
        ("-0.0", "-0"),
        ("1.0", "1"),
        ("1e2", "100"),
        ("-1.5", "-1.5"),
        ("0.1", "0.1"),
        ("1.1", "1.1"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("0.3333333333333333", "0.3333333333333333"),
        ("123456.789", "123456.789"),
        ("1e-7", "0.0000001"),
        ("1.5e-10", "0.00000000015"),
        ("1e15", "1000000000000000"),
        ("1e21", "1000000000000000000000"),
        ("9007199254740991", "9007199254740991"),
        ("9007199254740993", "9007199254740992"),
        ("-9007199254740993", "-9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("1.7976931348623157e308", "17976931348623157" + "0" * 292),
        ("5e-324", "0." + "0" * 323 + "5"),
    ],
)
def test_number_is_a_double_with_its_shortest_digits(cell: Cell, number: str, text: str) -> None:
    body = b'{"x":%s}' % number.encode()

    assert cell(number) == text
    assert cell("Body('x')", body) == text
    assert cell("Body()", body) == f'{{"x":{text}}}'
    assert cell("[Body('x')]", body) == f"[{text}]"
    assert cell("Body('x') + ''", body) == f'"{text}"'


@pytest.mark.parametrize("template", ["Body('x')", "local x = Body('x'); x"])
def test_integer_zero_of_a_body_has_no_sign(cell: Cell, template: str) -> None:
    assert cell(template, b'{"x":-0}') == "0"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        ("a,b", "a,b"),
        ('q"q', 'q""q'),
        ('"', '""'),
        ("\n", "\n"),
        ("a\r\nb\n", "a\r\nb\n"),
        (" lead", " lead"),
        ("trail ", "trail "),
        ("\\.", "\\."),
        ("\t", "\t"),
        ("é", "é"),
        ('{"k":1}', '{""k"":1}'),
        ("null", "null"),
        ("<<~~id~~>>", "<<~~id~~>>"),
    ],
)
def test_every_value_is_quoted_and_kept(
    make_batch: MakeBatch, make_mapping: MakeMapping, value: str, text: str
) -> None:
    (segment,) = map_batch(make_mapping("id", "body"), make_batch(value.encode(), headers=PLAIN))

    assert segment.csv.decode() == f'"id-0","{text}"\n'
    assert list(csv.reader(io.StringIO(segment.csv.decode(), newline=""))) == [["id-0", value]]


def test_one_column_with_an_empty_value_is_no_blank_line(make_batch: MakeBatch, make_mapping: MakeMapping) -> None:
    (segment,) = map_batch(make_mapping("body"), make_batch(b"", b""))

    assert segment.csv == b'""\n""\n'


@pytest.mark.parametrize(
    ("body", "content_type", "row"),
    [
        (
            b'{"col1":"val1","col2":"val2"}',
            b"application/json",
            '"id-0","{""col1"":""val1"",""col2"":""val2""}","{""Accept"":""application/json"",'
            '""Content-Type"":""application/json""}","1.2.3.4","2023-01-02T03:04:05.006Z","""val1:val2"""\n',
        ),
        (
            b"col1=val3&col2=val4",
            b"application/x-www-form-urlencoded",
            '"id-0","col1=val3&col2=val4","{""Accept"":""application/json"",'
            '""Content-Type"":""application/x-www-form-urlencoded""}","1.2.3.4","2023-01-02T03:04:05.006Z",'
            '"""val3:val4"""\n',
        ),
    ],
)
def test_row_of_all_columns(
    make_batch: MakeBatch, make_mapping: MakeMapping, body: bytes, content_type: bytes, row: str
) -> None:
    mapping = make_mapping("id", "body", "headers", "ip", "datetime", joined="Body('col1')+\":\"+Body('col2')")
    batch = make_batch(body, headers=[("accept", b"application/json"), ("content-type", content_type)])

    (segment,) = map_batch(mapping, batch)

    assert segment.csv.decode() == row


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_010, "2000-02-29T00:00:00.010Z"),
        (1_672_628_645_006, "2023-01-02T03:04:05.006Z"),
        (1_672_628_645_999, "2023-01-02T03:04:05.999Z"),
    ],
)
def test_datetime_is_utc_with_milliseconds(
    make_batch: MakeBatch, make_mapping: MakeMapping, ms: int, text: str
) -> None:
    (segment,) = map_batch(make_mapping("datetime", now="Now()"), make_batch(b"", times_ms=[ms]))

    assert segment.csv.decode() == f'"{text}","""{text}"""\n'


@pytest.mark.parametrize("address", ["1.2.3.4", "2001:db8::1", ""])
def test_ip_is_the_events_address_and_empty_without_one(
    make_batch: MakeBatch, make_mapping: MakeMapping, address: str
) -> None:
    batch = make_batch(b"")
    batch.ips[:] = [address]

    (segment,) = map_batch(make_mapping("ip", template="Ip()"), batch)

    assert segment.csv.decode() == f'"{address}","""{address}"""\n'


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ([], "{}"),
        ([("Foo1", b"bar1"), ("Foo2", b"bar2"), ("foo2", b"bar3")], '{"Foo1":"bar1","Foo2":"bar2"}'),
        ([("b", b"1"), ("a", b"2")], '{"A":"2","B":"1"}'),
        ([("x", b"")], '{"X":""}'),
        ([("x", '<a>&\u2028\u2029é"\\'.encode())], r'{"X":"\u003ca\u003e\u0026\u2028\u2029é\"\\"}'),
        ([("x", b"\xff")], '{"X":"\ufffd"}'),
    ],
)
def test_headers_column(
    make_batch: MakeBatch, make_mapping: MakeMapping, headers: list[tuple[str, bytes]], text: str
) -> None:
    (segment,) = map_batch(make_mapping("headers"), make_batch(b"", headers=headers))

    assert segment.csv.decode() == '"' + text.replace('"', '""') + '"\n'


@pytest.mark.parametrize(
    ("body", "in_body", "in_json"),
    [
        (b"a\0b", "a\ufffdb", '"a\\u0000b"'),
        (b"\0", "\ufffd", '"\\u0000"'),
        (b"\xff", "\ufffd", '"\ufffd"'),
        (b"a\xc3", "a\ufffd", '"a\ufffd"'),
        (b"\xf0\x9f\x98", "\ufffd", '"\ufffd"'),
        (b"\xed\xa0\x80", "\ufffd" * 3, '"' + "\ufffd" * 3 + '"'),
        (b"\xc0\xaf", "\ufffd" * 2, '"' + "\ufffd" * 2 + '"'),
        (b"\xef\xbb\xbfa", "\ufeffa", '"\ufeffa"'),
        ("\U0001f600".encode(), "\U0001f600", '"\U0001f600"'),
    ],
)
def test_cells_are_utf8_without_nul(
    make_batch: MakeBatch, make_mapping: MakeMapping, body: bytes, in_body: str, in_json: str
) -> None:
    """A NUL survives in JSON, as its escape; elsewhere it is U+FFFD, as is what is no UTF-8."""
    (segment,) = map_batch(make_mapping("body", text="BodyStr()"), make_batch(body, headers=PLAIN))

    assert segment.csv.decode() == f'"{in_body}","{in_json.replace(chr(34), chr(34) * 2)}"\n'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"x":"\u0000"}', '"\\u0000"'),
        (rb'{"x":"\ud800"}', '"\ufffd"'),
        (rb'{"x":"\ude00\ud83d"}', '"\ufffd\ufffd"'),
        (rb'{"x":"\ud83d\ude00"}', '"\U0001f600"'),
        (b'{"x":"\xff"}', '"\ufffd"'),
        (rb'{"x":"\u2028<>&\/"}', '"\u2028<>&/"'),
        (rb'{"x":"\u007f\u0080\u009f\u00a0"}', '"\\u007f\\u0080\\u009f\u00a0"'),
    ],
)
def test_text_of_json_is_escaped_as_little_as_may_be(cell: Cell, body: bytes, text: str) -> None:
    assert cell("Body('x')", body) == text
    assert cell("local x = Body('x'); x", body) == text
    assert cell("Body()", body) == f'{{"x":{text}}}'
    assert cell("Body().x + ''", body) == text


@pytest.mark.parametrize("template", ["1e400", "-1e400", "[1.1, 1e400]", "{a: std.log(0)}", "std.acos(2)"])
def test_number_that_json_does_not_have_is_a_dead_letter(template: str, failure: Callable[..., Failure]) -> None:
    found = failure(template)

    assert (found.reason, found.column) == (Reason.TEMPLATE_ERROR, "cell")
    assert found.message == "overflow: a number of the result is past a double, or none"


def test_text_that_names_such_a_number_is_a_text(cell: Callable[..., str]) -> None:
    assert cell('{inf: "nan", a: "\\"inf"}') == '{"a":"\\"inf","inf":"nan"}'
