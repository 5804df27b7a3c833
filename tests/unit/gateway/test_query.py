"""What a query asks for."""

from __future__ import annotations

import pytest

from app.gateway.query import check_validation, wants_validation
from app.model.errors import BadRequest


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (b"validate=1", True),
        (b"validate=true", True),
        (b"debug=true&validate=1", True),
        (b"%76alidate=1", True),
        (b"validate=0&validate=1", True),
        (b"validate", True),
        (b"validate=yes", True),
        (b"validate=0", False),
        (b"validate=false", False),
        (b"validate=0#1", False),
        (b"", False),
        (b"debug=validate", False),
        (b"revalidate=1", False),
        (b"Validate=1", False),
        (b"\xff=validate", False),
    ],
)
def test_only_what_may_ask_for_validation_leaves_the_lane(query: bytes, wanted: bool) -> None:
    assert wants_validation(b"/v1/import/1/flights/secret?" + query) is wanted


@pytest.mark.parametrize(
    "query", [b"validate=1", b"validate=true", b"validate=0", b"validate=false", b"x=validate", b""]
)
def test_yes_and_no_are_understood(query: bytes) -> None:
    check_validation(b"/?" + query)


@pytest.mark.parametrize(
    ("query", "echo"),
    [
        (b"validate=yes", "yes"),
        (b"validate", ""),
        (b"validate=True", "True"),
        (b"validate=1&validate=%ff", "\ufffd"),
        (b"validate=" + b"x" * 101, "x" * 100 + "…"),
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(query: bytes, echo: str) -> None:
    with pytest.raises(BadRequest) as caught:
        check_validation(b"/?" + query)

    assert caught.value.name == "buffer.invalidEnumValue"
    assert caught.value.message == (
        f'value of query.validate must be one of "1", "true", "0", "false" but got value "{echo}"'
    )
