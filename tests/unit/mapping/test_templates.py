from __future__ import annotations

import pytest

from app.mapping.templates import check_template
from app.model.errors import BadRequest


@pytest.mark.parametrize(
    "source",
    [
        "Body('a') + ':' + Body(path='b', default=1) + Header('X') + HeaderStr() + BodyStr() + Ip() + Now('%Y')",
        "local f(x) = f(x + 1); f(0)",
        "std.range(0, 1e9)",
        "std.trim(Body('a'))",
        "Body(1, 2, 3, 4)",
        "{a: 1, b: self.a, c: $.b}",
        "'import' + Body('import.x') // import\n# import\n/* import */",
        "|||\n  import\n|||",
        "@'im''port'",
        "error 'x'",
    ],
)
def test_sound_template_passes(source: str) -> None:
    check_template(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("invalid", "1:1-8 Unknown variable: invalid."),
        ("local a = b; 1", "1:11 Unknown variable: b."),
        ("if true then 1 else nope", "1:21-25 Unknown variable: nope."),
        ("{\n  a: nope\n}", "2:6-10 Unknown variable: nope."),
        ("x.y", "1:1 Unknown variable: x."),
        ("body('a')", "1:1-5 Unknown variable: body."),
        ("[y for x in [1]]", "1:2 Unknown variable: y."),
        ("function(a) b", "1:13 Unknown variable: b."),
        ("{local q = 1, a: q2}", "1:18-20 Unknown variable: q2."),
        ("false && nope", "1:10-14 Unknown variable: nope."),
        ("\n\n  nope", "3:3-7 Unknown variable: nope."),
        ("self", "1:1-5 Can't use self outside of an object."),
        ("function(x, x) 1", "1:1-17 Duplicate function parameter: x."),
        ("[\n1,\n", "3:1 unexpected end of file."),
        ("Body('a'", "1:9 expected a comma before next function argument."),
        ("Body(a b)", "1:8 expected a comma before next function argument."),
        ("1; 2", '1:2 did not expect: ";".'),
        ("1 +", "1:4 unexpected end of file."),
        ("if true", "1:8 expected token then but got end of file."),
        ("local x = 1", "1:12 expected , or ; but got end of file."),
        ("}", '1:1 unexpected: "}" while parsing terminal.'),
        ("'abc", "1:1 unterminated string."),
        ("/* open", "1:1 multi-line comment has no terminating */."),
        ("tailstrict", "1:1-11 unexpected: tailstrict while parsing terminal."),
        ("1) + (2", '1:2 did not expect: ")".'),
        ("", "1:1 unexpected end of file."),
        ("$.a", "1:1 No top-level object found."),
        ("{a: 1, a: 2}", "1:8 duplicate field: a."),
        ("import 'x'", "1:1-7 Imports are not allowed."),
        ("{\n a: importstr 'x'}", "2:5-14 Imports are not allowed."),
        ("'a' % importbin 'x'", "1:7-16 Imports are not allowed."),
        ("[" * 600 + "]" * 600, "1:500 Exceeded maximum parse depth limit."),
    ],
)
def test_unsound_template_is_refused_with_its_place(source: str, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_template(source)

    assert caught.value.message == message


@pytest.mark.parametrize(
    "source", ["{}", "[{}]", "{{a: {}}}", "{} + 1", "function() {}", "local x = {}; x", "[{{a: [{}]}}]"]
)
def test_nothing_is_evaluated(source: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A native function may take all memory, or end the process: `[std.parseJson('1e400')]` aborts the C++ engine."""
    check_template(source.format("std.trace('evaluated', 1)"))

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("source", ["'\0'", "'\ud800'"])
def test_template_that_is_no_text_is_refused(source: str) -> None:
    with pytest.raises(BadRequest, match=r"^1:1 A template is text without NUL and half characters"):
        check_template(source)


@pytest.mark.parametrize("name", ["row", "cell", "body", "self", "x"])
def test_what_surrounds_a_template_is_not_visible(name: str) -> None:
    with pytest.raises(BadRequest):
        check_template(f"{name}()")
