"""Dead letters as the API shows them, and what it makes of a query before it looks for any."""

from __future__ import annotations

import base64
import doctest
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from letters import letter, some_export

from app.api import dead_letters, letter_answers
from app.api.letter_answers import LISTED_BODY_BYTES, read_cursor, read_letter_id, show_letter, write_cursor
from app.kafka.dead_letters import PublishedLetter

PATH = "/v1/receivers/r/exports/e/dead-letters"


def shown(whole: bool = False, **event: Any) -> dict[str, Any]:
    found = PublishedLetter(2, 1234, 0, letter(some_export("e"), 17, **event))
    return show_letter(found, whole=whole).model_dump(by_alias=True, exclude_none=True)


@given(st.binary(max_size=3000))
def test_whole_body_is_given_byte_for_byte(body: bytes) -> None:
    event = shown(whole=True, body=body)["event"]

    text = event["body"]
    assert (base64.b64decode(text) if event["bodyEncoding"] == "base64" else text.encode()) == body
    assert (event["bodySize"], event["bodyTruncated"]) == (len(body), False)


@given(st.text(max_size=3000))
def test_listed_text_is_the_beginning_of_the_body(text: str) -> None:
    body = text.encode("utf-8", "replace")

    event = shown(body=body)["event"]

    assert event["bodyEncoding"] == "utf-8"
    assert body.startswith(event["body"].encode())
    assert min(len(body), LISTED_BODY_BYTES) - 3 <= len(event["body"].encode()) <= LISTED_BODY_BYTES
    assert event["bodyTruncated"] == (len(body) > LISTED_BODY_BYTES)


def test_body_that_is_no_utf8_is_base64_also_where_its_beginning_is_text() -> None:
    event = shown(body=b"a" * 2000 + b"\xff")["event"]

    assert (event["bodyEncoding"], base64.b64decode(event["body"])) == ("base64", b"a" * LISTED_BODY_BYTES)


def test_event_too_large_to_be_copied_has_no_body() -> None:
    event = shown(whole=True, body=None)["event"]

    assert event["bodyTruncated"] is True
    assert event.keys().isdisjoint({"body", "bodyEncoding", "bodySize"})


def test_headers_of_a_list_are_bounded_and_whole_alone() -> None:
    headers = [("X-A", b"a" * 3000), ("X-B", b"b" * 3000), ("X-C", b"\xff")]

    listed, alone = shown(headers=headers)["event"], shown(whole=True, headers=headers)["event"]

    assert ([one["name"] for one in listed["headers"]], listed["headersTruncated"]) == (["X-A"], True)
    assert (len(alone["headers"]), alone["headersTruncated"]) == (3, False)
    assert alone["headers"][2] == {"name": "X-C", "value": "/w==", "encoding": "base64"}


@pytest.mark.parametrize("time_ms", [-1, 2**62])
def test_time_that_no_date_can_say_is_shown_all_the_same(time_ms: int) -> None:
    assert shown(time_ms=time_ms)["receivedAt"] in ("1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z")


@given(st.integers(0, 99_999), st.integers(0, 10**18 - 1))
def test_cursor_comes_back(partition: int, before: int) -> None:
    assert read_cursor(write_cursor(partition, before)) == (partition, before)


@given(st.text(max_size=30))
def test_any_text_is_a_place_or_none(text: str) -> None:
    for found in (read_cursor(text), read_letter_id(text)):
        assert found is None or min(found) >= 0


@pytest.mark.parametrize(
    ("query", "name", "message"),
    [
        (
            {"reason": "no.such"},
            "buffer.invalidEnumValue",
            'Value of query.reason must be one of "template.error", ',
        ),
        ({"since": "yesterday"}, "buffer.badRequest", 'Query.since must be a time in ISO 8601 such as "2026-'),
        ({"until": "2026-13-01"}, "buffer.badRequest", "Query.until must be a time in ISO 8601 such as "),
        ({"limit": 0}, "buffer.invalidRange", "Query.limit must be greater or equal than 1 but got value "),
        ({"limit": 101}, "buffer.invalidRange", "Query.limit must be lesser or equal than 100 but got value "),
        ({"limit": "x"}, "buffer.badRequest", "Query.limit: "),
        ({"after": "!"}, "buffer.badRequest", 'Query.after must be the page.after of an answer but got value "!".'),
    ],
)
async def test_query_that_makes_no_sense_is_refused(
    api: FastAPI, query: dict[str, Any], name: str, message: str
) -> None:
    headers = {"X-StorageApi-Token": "1234-1-token"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://test", headers=headers) as client:
        answer = await client.get(PATH, params=query)

    assert (answer.status_code, answer.json()["error"]) == (400, name)
    assert answer.json()["message"].startswith(message)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01t00:00:01.5z", 1500),
        ("1970-01-01 01:00:01+01:00", 1000),
        ("1970-01-01T00:01", 60_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:60Z", 59_000),
        ("0001-01-01T00:00:00+05:00", -62_135_614_800_000),
    ],
)
def test_times_in_iso_8601_are_read(text: str, milliseconds: int) -> None:
    assert dead_letters.time_of("since", text) == milliseconds


@pytest.mark.parametrize("module", [dead_letters, letter_answers])
def test_examples_are_right(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
