"""What a query asks for."""

from __future__ import annotations

import pytest

from app.gateway.query import Wishes, check_validation, read_wishes, wants_each, wants_validation
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


@pytest.mark.parametrize(
    ("query", "wishes"),
    [
        (b"", Wishes()),
        (b"debug=true", Wishes()),
        (b"split=off", Wishes(split=False)),
        (b"split=on&receipt=true", Wishes(split=True, receipt=True)),
        (b"receipt=1&receipt=0", Wishes(receipt=False)),
        (b"%73plit=off#receipt=1", Wishes(split=False)),
    ],
)
def test_query_says_what_is_wished(query: bytes, wishes: Wishes) -> None:
    assert read_wishes(query) == wishes


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"split=no", 'value of query.split must be one of "on", "off" but got value "no"'),
        (b"split", 'value of query.split must be one of "on", "off" but got value ""'),
        (b"receipt=x", 'value of query.receipt must be one of "1", "true", "0", "false" but got value "x"'),
    ],
)
def test_wish_that_is_not_understood_is_refused(query: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_wishes(query)

    assert (caught.value.name, caught.value.message) == ("buffer.invalidEnumValue", message)


@pytest.mark.parametrize(
    ("prefer", "each"),
    [
        (b"return=representation", True),
        (b'respond-async, Return = "representation"; x=1', True),
        (b"return=minimal", False),
        (b"return=representations", False),
        (b"handling=lenient", False),
        (b"", False),
    ],
)
def test_preference_for_a_result_of_each_event_is_seen(prefer: bytes, each: bool) -> None:
    assert wants_each(prefer) is each
