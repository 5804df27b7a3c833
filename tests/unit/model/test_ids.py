"""Identifiers: what people choose becomes the same id each time, what we mint is never met again."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model import ids
from app.model.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my-receiver", "my-receiver"),
        ("My Receiver", "my-receiver"),
        ("myReceiver", "my-receiver"),
        ("  Café — Été!  ", "cafe-ete"),
        ("ÉTÉ auÉté", "ete-au-ete"),
        ("a__b..c", "a-b-c"),
        ("-x-", "x"),
        ("HTTP", "http"),
        ("x" * 60, "x" * 48),
        ("x" * 47 + "-y", "x" * 47),
    ],
)
def test_id_is_lower_case_letters_digits_and_dashes(text: str, expected: str) -> None:
    assert ids.normalise_id(text) == expected


@pytest.mark.parametrize("text", ["", "---", "日本", "!?"])
def test_text_without_letter_or_digit_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="needs at least one letter or digit"):
        ids.normalise_id(text)


@given(st.text(max_size=70))
def test_id_is_valid_and_stays_what_it_is(text: str) -> None:
    try:
        found = ids.normalise_id(text)
    except BadRequest:
        return

    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?", found)
    assert ids.normalise_id(found) == found


@pytest.mark.parametrize("mint", [ids.new_uid, ids.new_event_id])
def test_minted_ids_are_version_7_and_sort_by_time(mint: object) -> None:
    assert callable(mint)
    minted = [mint() for _ in range(50)]

    assert sorted(set(minted)) == minted
    assert {uuid.UUID(text).version for text in minted} == {7}


def test_derived_event_id_is_the_record_s_own() -> None:
    first = ids.derived_event_id("topic", 0, 12)
    others = {ids.derived_event_id(*place) for place in (("topic", 0, 13), ("topic", 1, 12), ("other", 0, 12))}

    assert first == ids.derived_event_id("topic", 0, 12) == "179f99b8-3968-5943-84da-22be9b818103"
    assert uuid.UUID(first).version == 5
    assert len(others | {first}) == 4


def test_secret_is_48_letters_and_digits_and_never_the_same() -> None:
    first, second = ids.new_secret(), ids.new_secret()

    assert re.fullmatch(r"[A-Za-z0-9]{48}", first)
    assert first != second
