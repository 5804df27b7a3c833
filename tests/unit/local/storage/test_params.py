"""Arguments of requests in PHP's, form's and JSON's clothes."""

from __future__ import annotations

from typing import Any

import pytest

from app.local.storage.errors import ApiError
from app.local.storage.params import Params, nest


@pytest.mark.parametrize(
    ("pairs", "values"),
    [
        ([("a", "1"), ("a", "2")], {"a": "2"}),
        ([("tags[]", "x"), ("tags[]", "y")], {"tags": ["x", "y"]}),
        ([("w[0][column]", "id"), ("w[0][values][]", "1"), ("w[0][values][]", "2")],
         {"w": [{"column": "id", "values": ["1", "2"]}]}),
        ([("bucketPermissions[in.c-a]", "write")], {"bucketPermissions": {"in.c-a": "write"}}),
        ([("[", "x"), ("[a]", "y")], {"[": "x", "[a]": "y"}),
    ],
)  # fmt: skip
def test_names_with_brackets_become_lists_and_maps(pairs: list[tuple[str, str]], values: dict[str, Any]) -> None:
    assert nest(pairs) == values


def test_name_that_is_value_and_list_is_refused() -> None:
    with pytest.raises(ApiError):
        nest([("a", "1"), ("a[]", "2")])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), (1, True), ("True", True), (True, True), ("0", False), (0, False), ("False", False), (None, False)],
)
def test_flags_are_read_as_storage_does(value: Any, expected: bool) -> None:
    assert Params({"flag": value}).flag("flag") is expected


@pytest.mark.parametrize(
    ("value", "expected"), [("a,b", ["a", "b"]), (["a", "b"], ["a", "b"]), ("", []), (None, []), (["a,b"], ["a,b"])]
)
def test_lists_may_be_one_text_with_commas(value: Any, expected: list[str]) -> None:
    assert Params({"columns": value}).texts("columns") == expected


def test_body_goes_before_the_query() -> None:
    params = Params.parse(b"name=query&limit=5", b'{"name": "body"}', "application/json; charset=utf-8")

    assert (params.text("name"), params.number("limit", 1)) == ("body", 5)


@pytest.mark.parametrize(
    ("body", "content_type"), [(b"{", "application/json"), (b"[]", "application/json"), (b"1", "application/json")]
)
def test_body_that_is_no_json_object_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(ApiError):
        Params.parse(b"", body, content_type)


@pytest.mark.parametrize("value", ["x", "1.5", "-1", "11", "9" * 30, ["1"]])
def test_numbers_out_of_bounds_are_refused(value: Any) -> None:
    with pytest.raises(ApiError):
        Params({"limit": value}).number("limit", 1, least=0, most=10)
