from __future__ import annotations

from typing import Any

import pytest

from app.mapping.paths import MISSING, look_up, path_parts

BODY = {"a": {"b": 1}, "arr": [10, [20, 21], {"k": "v"}], "o": {"a": None}, "n": None, "1]x": "odd", "": "empty"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b", 1),
        ("arr[1][0]", 20),
        ("arr[2].k", "v"),
        ("arr.[2].k", "v"),
        (".o.a", None),
        ("o.", {"a": None}),
        ("o..a", None),
        ("arr[01]", [20, 21]),
        ("n", None),
        ("[1]x", "odd"),
    ],
)
def test_path_leads_to_value(path: str, value: Any) -> None:
    assert look_up(BODY, path_parts(path)) == value


@pytest.mark.parametrize(
    "path",
    ["arr.0", "arr[-1]", "arr[1]x", "o[a]", "[0]", "n.x", "arr[3]", "arr[99999999999999999999]", "a.b.c", "nope"],
)
def test_path_leads_nowhere(path: str) -> None:
    assert look_up(BODY, path_parts(path)) is MISSING


def test_index_at_the_root_of_an_array() -> None:
    assert look_up([{"a": 1}], path_parts("[0].a")) == 1


@pytest.mark.parametrize("path", ["", ".", "[", "..["])
def test_separators_alone_are_no_parts(path: str) -> None:
    assert path_parts(path) == ()


@pytest.mark.parametrize("value", ["text", 5, True, None])
def test_scalars_have_neither_keys_nor_items(value: Any) -> None:
    assert look_up(value, path_parts("a")) is MISSING
    assert look_up(value, path_parts("[0]")) is MISSING
