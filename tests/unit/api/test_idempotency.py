"""Ids that follow from a request: the same each time, however the request is cut."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.idempotency import MAX_KEY_BYTES, id_of_cloudevent, ids_of
from app.model.errors import BadRequest

CLICKS = "1234/clicks"


def ids(key: str, events: int = 1, receiver: str = CLICKS) -> list[str]:
    return list(ids_of(key.encode(), receiver, events))


def test_key_gives_each_event_the_same_id_each_time() -> None:
    assert ids("a key", 3) == ids("a key", 3)
    assert len(set(ids("a key", 3))) == 3
    assert {UUID(one).version for one in ids("a key", 3)} == {5}


def test_ids_are_those_of_every_version_of_the_gateway() -> None:
    """Whoever sends again after an upgrade must meet the same ids: these texts never change."""
    assert ids("a key", 2) == [
        "12884cad-de3d-5b5e-80ff-c0c240b1ae7b",
        "8352c2ed-3131-5595-b2e6-2b52fd0661f2",
    ]
    assert ids("kafka:orders/3/1000") == ["697dc8e4-40f5-562d-8073-58fafe40e249"]
    assert ids("kafka:main:orders/3/1000") == ["f99c9d58-233e-5f2b-9842-02270c2cde59"]
    assert id_of_cloudevent(CLICKS, "https://shop.example.com", "1") == "a242e4a2-0718-5956-85e3-8b40721bccca"


def test_ids_differ_by_key_receiver_and_kind() -> None:
    different = [
        *ids("a"),
        *ids("b"),
        *ids("a", receiver="1234/other"),
        *ids("a", receiver="99/clicks"),
        *ids("kafka:a/0/0"),
        *ids("kafka:s:a/0/0"),
        id_of_cloudevent(CLICKS, "a", "0"),
        id_of_cloudevent(CLICKS, "0", "a"),
    ]

    assert len(set(different)) == len(different)


def test_quotes_around_a_key_are_none_of_it() -> None:
    assert ids('"a key"') == ids("a key")
    assert ids('""') != ids('"')


def test_places_are_those_of_the_events_in_order() -> None:
    whole = ids("kafka:main:orders/3/1000-1002,7;returns/0/5", 5)

    assert whole == [
        *ids("kafka:main:orders/3/1000"),
        *ids("kafka:main:orders/3/1001"),
        *ids("kafka:main:orders/3/1002"),
        *ids("kafka:main:orders/3/7"),
        *ids("kafka:main:returns/0/5"),
    ]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 2**40))
def test_record_keeps_its_id_however_a_batch_is_cut(sizes: list[int], first: int) -> None:
    whole = ids(f"kafka:orders/0/{first}-{first + sum(sizes) - 1}", sum(sizes))
    cut, place = [], first
    for size in sizes:
        cut += ids(f"kafka:orders/0/{place}-{place + size - 1}", size)
        place += size

    assert cut == whole


@pytest.mark.parametrize(("events", "named"), [(2, 3), (4, 3), (0, 3)])
def test_list_must_name_a_place_for_each_event(events: int, named: int) -> None:
    with pytest.raises(BadRequest, match=f"names the places of {named} events, and the request has {events}"):
        ids("kafka:orders/0/5-7", events)


def test_run_without_end_is_not_followed() -> None:
    with pytest.raises(BadRequest, match="names the places of 10000000000000 events"):
        ids("kafka:orders/0/0-9999999999999", 1)


@pytest.mark.parametrize("places", ["orders/0/5,5", "orders/0/7;orders/1/7;orders/0/5-9", "orders/0/1-3,2-4"])
def test_place_that_is_named_twice_is_refused(places: str) -> None:
    """Two events would have one id, and a table one row for both."""
    with pytest.raises(BadRequest, match=r"orders/0/\d is named twice"):
        ids("kafka:" + places, len(places))


@pytest.mark.parametrize(
    "key",
    [
        "kafka:",
        "kafka:orders",
        "kafka:orders/0",
        "kafka:orders/0/",
        "kafka:orders/x/1",
        "kafka:orders/0/1-",
        "kafka:orders/0/2-1",
        "kafka:orders/0/1,,2",
        "kafka:orders/0/-1",
        "kafka:orders/0/1;",
        "kafka:orders/0/1 2",
        "kafka:or ders/0/1",
        "kafka::orders/0/1",
        "kafka:a:b:orders/0/1",
        "kafka:a/b:orders/0/1",
        "kafka:" + "s" * 101 + ":orders/0/1",
        "kafka:orders/0/" + "1" * 20,
        "kafka:\u0661/0/1",
        "kafka:orders/\u0661/1",
    ],
)
def test_malformed_list_says_what_it_must_be(key: str) -> None:
    with pytest.raises(BadRequest, match="begins with kafka: and is no list of places"):
        ids(key)


@pytest.mark.parametrize("key", ["", "x" * (MAX_KEY_BYTES + 1)])
def test_length_of_a_key_is_bounded(key: str) -> None:
    with pytest.raises(BadRequest, match=f"it must have 1 to {MAX_KEY_BYTES}"):
        ids(key)
