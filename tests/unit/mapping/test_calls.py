"""Plain calls are bound to their arguments before the engine runs, where they surely are calls of a global."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.mapping.calls import Call, bind_calls, read_call
from app.mapping.tokens import NotPlain, tokens
from app.model.event import Failure

BOUND = {
    "Body('a')": "c0()",
    'Body ( "a" , -5 )': "c0()",
    "Body('a') + Body('b')": "c0() + c1()",
    "if Ip() == 'x' then Header('y') else Now('%F')": "if c0() == 'x' then c1() else c2()",
    "local x = Body('a'), y = Body('b'); [x, y]": "local x = c0(), y = c1(); [x, y]",
    "Body('a') tailstrict": "c0() tailstrict",
    "{[Body('a')]: Body('b')}": "{[c0()]: c1()}",
    "Body('a') // Body\n# Body\n/* Body */ + 'Body' + @'Body' + |||\n  Body\n|||": (
        "c0() // Body\n# Body\n/* Body */ + 'Body' + @'Body' + |||\n  Body\n|||"
    ),
    "|||\r\n  Body('a')\r\n||| + Body('b')": "|||\r\n  Body('a')\r\n||| + c0()",
    "std.length(Body('a')) + std.length(Body(std.asciiLower('B')))": (
        "std.length(c0()) + std.length(Body(std.asciiLower('B')))"
    ),
    "BodyStr() + Body": "c0() + Body",
    "Body('a') == Body('b')": "c0() == c1()",
}
LEFT = [
    "local Body(x) = x; Body('a')",
    "local Body() = 1; Body()",
    "local Body(path='a') = path; Body('a')",
    "local a = 1, Body(path='a') = path; Body('a')",
    "local a = 1, Body(x) = x; Body('a')",
    "local Body = function(x) x; Body('a')",
    "(function(Body) Body('a'))(function(x) x)",
    "(function(x, Body) Body('a'))(1, function(x) x)",
    "[Body('a') for Body in [function(x) x]]",
    "{Body(path='a'): path}.Body('a')",
    "{Body(path='a'):: path, x: self.Body('a')}",
    "{a: 1, Body(x): x, b: self.Body('a')}",
    "{local Body() = 1, a: Body()}",
    "local f = Body; f('a') + Body('a')",
    "Body(path='a', path='b')",
    "Body('it\\'s')",
    "Body('a', 1.5)",
    "Body('a', -0)",
    "Body(Ip)",
]


@pytest.mark.parametrize(("source", "bound"), BOUND.items())
def test_plain_call_is_bound(source: str, bound: str) -> None:
    assert bind_calls(source, "c")[0] == bound


@pytest.mark.parametrize("source", LEFT)
def test_what_may_be_something_else_is_left(source: str) -> None:
    assert bind_calls(source, "c") == (source, [])


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("local Body(path='a') = 'own ' + path; Body('b')", '"own b"'),
        ("local a = 1, Body(x='a') = 'own ' + x; Body('b')", '"own b"'),
        ("{Body(path='a'):: path, c: self.Body('b')}.c", '"b"'),
        ("[Body('b', true), Body('b', 1)]", "[true,1]"),
    ],
)
def test_template_that_defines_a_global_gets_its_own(source: str, text: str, cell: Callable[..., str]) -> None:
    assert cell(source) == text


@pytest.mark.parametrize("source", ["Body(", "Body('a',)", "Body('a' 'b')", "Body('a', 'b', 'c')", "Nope()", "Body"])
def test_call_that_is_not_plain_is_refused(source: str) -> None:
    with pytest.raises(NotPlain):
        read_call(tokens(source), 0)


def test_literals_of_like_value_are_different_calls() -> None:
    calls = bind_calls("[Body('b', true), Body('b', 1)]", "c")[1]

    assert [type(call.arguments[1]) for call in calls] == [bool, int]
    assert calls == [Call("Body", ("b", True)), Call("Body", ("b", 1))]


@pytest.mark.parametrize("source", ["std.length", "local f(x) = x; f", "Ip"])
def test_function_as_a_result_has_the_engines_message(source: str, failure: Callable[..., Failure]) -> None:
    assert "function" in failure(source).message
    assert "engine failed" not in failure(source).message
