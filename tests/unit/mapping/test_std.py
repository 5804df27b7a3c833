"""The standard library that templates have: go-jsonnet's, by both engines."""

from __future__ import annotations

import json
import re

import _jsonnet
import pytest
import rjsonnet
from same_cells import Outcome, outcomes
from template_grammar import Event

from app.mapping.engines import make_template
from app.mapping.std import CPP_STD, RJSONNET_STD
from app.model.engine import Engine

GO_ALONE = ["sha1", "sha256", "sha3", "sha512"]
"""What jsonnet names but does not do."""


def made(template: str, engine: Engine) -> Outcome:
    return outcomes(make_template(template, engine), [Event(b"{}", ())])[0]


def names(evaluate: object) -> set[str]:
    return set(json.loads(evaluate("names", "std.objectFieldsAll(std)")))  # type: ignore[operator]


def test_what_rjsonnet_lacks_is_supplied_and_no_more() -> None:
    assert names(_jsonnet.evaluate_snippet) - names(rjsonnet.evaluate_snippet) == RJSONNET_STD.keys() - {
        "foldr"
    }  # which it has, but not for texts


def test_what_jsonnet_does_not_do_is_supplied() -> None:
    for name in GO_ALONE:
        with pytest.raises(RuntimeError, match="only supported in go version"):
            _jsonnet.evaluate_snippet("lacks", f"std.{name}('a')")

    assert names(rjsonnet.evaluate_snippet) - names(_jsonnet.evaluate_snippet) == {"id"}
    assert CPP_STD.keys() >= set(GO_ALONE)


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("std.trim(' \t\n\u0085\u00a0x y ')", '"x y"'),
        ("[std.isNull(null), std.isNull(0)]", "[true,false]"),
        ("[std.log2(8), std.log2(1)]", "[3,0]"),
        ("[std.log10(10), std.log10(100)]", "[1,2]"),
        ("[std.atan2(0, 1), std.atan2(0, -1) == std.pi]", "[0,true]"),
        ("[std.deg2rad(180) == std.pi, std.rad2deg(std.pi)]", "[true,180]"),
        ("std.hypot(3, 4)", "5"),
        ("std.foldr(function(c, text) text + c, 'abc', '')", '"cba"'),
        ("std.foldr(function(n, sum) n - sum, [1, 2, 3], 0)", "2"),
        ("[std.flattenDeepArray([[1, [2]], [], 3]), std.flattenDeepArray('x')]", '[[1,2,3],["x"]]'),
        ("std.parseJson('[\"1e400\"]')", '["1e400"]'),
        ("std.sha1('é')", '"bf15be717ac1b080b4f1c456692825891ff5073d"'),
        ("std.sha3('a')[0:8]", '"697f2d85"'),
        ("[std.base64('é'), std.base64([200]), std.base64Decode('w6k=')]", '["w6k=","yA==","é"]'),
        ("[std.round(x) for x in [-2.5, -1.2, 0.49999999999999994, 2.5, -0, -0.3]]", "[-3,-1,0,3,-0,-0]"),
        ("local s = std; [s['tr' + 'im'](' x '), std.length('x')]", '["x",1]'),
        ("local std = { trim(x): 'mine' }; std.trim(' x ')", '"mine"'),
    ],
)
def test_function_gives_the_same_by_both_engines(template: str, text: str, engine: Engine) -> None:
    assert made(template, engine) == text


@pytest.mark.parametrize("engine", Engine)
@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("std.log2(0)", "."),
        ("std.atan2('a', 1)", "."),
        ("std.trim(1)", "."),
        ("std.char(55296)", "invalid unicode codepoint: 55296"),
        ("std.parseJson('[1e400]')", "failed to parse.*number out of range"),
        ("std.sha1(1)", "."),
    ],
)
def test_function_fails_by_both_engines(template: str, message: str, engine: Engine) -> None:
    reason, said = made(template, engine)

    assert reason == "template.error"
    assert re.match(message, said)


def test_yaml_past_a_double_does_not_end_the_process() -> None:
    assert made("std.parseYaml('a: 1e400')", Engine.JSONNET) == (
        "template.error",
        "failed to parse: number out of range",
    )
