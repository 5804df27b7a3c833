"""Jsonnet's standard library as templates have it. Source: Buffer API, Jsonnet semantics (the whole `std`)."""

from __future__ import annotations

import json
from collections.abc import Callable

import _jsonnet
import pytest

Cell = Callable[..., str]

LATER = {
    *("atan2", "deg2rad", "flattenDeepArray", "hypot", "isNull", "log10", "log2", "pi", "rad2deg"),
    "thisFile",  # a template is in no file
}
"""What newer versions of Jsonnet than the reference's have and our engine has not."""


def test_all_that_the_cpp_engine_has_is_there(cell: Cell) -> None:
    names = json.loads(_jsonnet.evaluate_snippet("names", "[n for n in std.objectFieldsAll(std) if n[0] != '_']"))

    missing = cell(f"[n for n in {json.dumps(names)} if !std.objectHasAll(std, n) && n != 'trim']")

    assert set(json.loads(missing)) == LATER - {"thisFile"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("std.trim(' \\t\\n\\f\\r\\u0085\\u00a0a b\\n')", '"a b"'),
        ("std.md5('x')", '"9dd4e461268c8034f5c8564e155c67a6"'),
        ("std.base64('é')", '"w6k="'),
        ("std.length('é\U0001f600')", "2"),
        ("std.substr('abc', 1, 1)", '"b"'),
        ("std.split('a,b', ',')", '["a","b"]'),
        ("std.join('-', ['a', 'b'])", '"a-b"'),
        ("std.parseJson('{\"a\": [1.5]}')", '{"a":[1.5]}'),
        ("std.parseInt('12')", "12"),
        ("std.asciiUpper('aé')", '"Aé"'),
        ("std.get({a: 1}, 'b', 2)", "2"),
        ("std.toString(1.1)", '"1.1"'),
        ("std.toString({a: [1]})", '"{\\"a\\": [1]}"'),
        ("'%s-%05.1f-%x' % ['a', 1.25, 255]", '"a-001.3-ff"'),
        ("std.manifestJsonMinified({b: 1.5, a: 'é'})", '"{\\"a\\":\\"é\\",\\"b\\":1.5}"'),
        ("std.sort([3, 1, 2])", "[1,2,3]"),
        ("std.foldl(function(a, b) a + b, [1, 2, 3], 0)", "6"),
        ("std.type(Body)", '"function"'),
    ],
)
def test_function(cell: Cell, template: str, text: str) -> None:
    assert cell(template) == text
