"""A request's body as events: every kind of body, compressed or not, and no event lost or doubled."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from app.api.bodies import Sent, Taken, plain_body, take_apart
from app.api.idempotency import ids_of
from app.api.split import at_once
from app.model.errors import BadRequest, PayloadTooLarge, StreamsError, UnsupportedMediaType
from app.settings import Settings

SETTINGS = Settings(_env_file=None, max_body_bytes=1000, max_inflated_bytes=10_000, max_events_per_request=100)  # type: ignore[call-arg]  # pydantic-settings' own argument
CLOUDEVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order", "data": {"n": 1}}
CODINGS = {"identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress}
EVENT = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=3).map(
    json.dumps
)


def take(body: bytes, *fields: tuple[str, bytes], split: bool = True, each: bool = False) -> Taken:
    found = dict(fields)
    sent = Sent("1/clicks", fields, found, split)
    return at_once(take_apart(plain_body(body, found, SETTINGS), sent, SETTINGS, each=each))


@with_settings(deadline=None)
@given(st.lists(EVENT, max_size=20), st.sampled_from(sorted(CODINGS)), st.booleans())
def test_each_event_comes_out_once_however_it_was_sent(events: list[str], coding: str, lines: bool) -> None:
    text = "\n".join(events) if lines else f"[{','.join(events)}]"
    kind = b"application/x-ndjson" if lines else b"application/json"

    taken = take(CODINGS[coding](text.encode()), ("Content-Type", kind), ("Content-Encoding", coding.encode()))

    assert taken.bodies == [event.encode() for event in events]


@with_settings(deadline=None)
@given(
    st.binary(max_size=300) | st.text('[]{},:"\\ 1n\n', max_size=60).map(str.encode),
    st.sampled_from([None, b"application/json", b"application/x-ndjson", b"text/plain", b"application/cloudevents+json",
                     b"application/cloudevents-batch+json"]),
    st.sampled_from([None, b"gzip", b"deflate", b"zstd", b"br"]),
    st.booleans(),
)  # fmt: skip
def test_any_bytes_are_events_or_refused(
    body: bytes, content_type: bytes | None, coding: bytes | None, split: bool
) -> None:
    fields = [("Content-Type", content_type), ("Content-Encoding", coding)]
    given_fields = [(name, value) for name, value in fields if value is not None]

    status = 200
    try:
        taken = take(body, *given_fields, split=split)
    except StreamsError as error:
        status = error.status
    else:
        assert split or len(taken.bodies) == 1

    assert status in (200, 400, 413, 415)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"a":[1,2]}'),
        ("application/x-www-form-urlencoded", b"a=1&b=2"),
        ("text/plain", b"[1,2]"),
        ("application/octet-stream", bytes(range(256))),
    ],
)
def test_any_other_body_is_one_event_byte_for_byte(content_type: str, body: bytes) -> None:
    taken = take(body, ("Content-Type", content_type.encode()))

    assert (taken.bodies, taken.headers(0)) == ([body], (("Content-Type", content_type.encode()),))


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-ndjson", "application/cloudevents+json", "application/cloudevents-batch+json"],
)
def test_body_that_is_not_to_be_split_is_one_event_as_it_came(content_type: str) -> None:
    body = json.dumps([CLOUDEVENT, CLOUDEVENT]).encode()

    taken = take(
        gzip.compress(body), ("Content-Type", content_type.encode()), ("Content-Encoding", b"gzip"), split=False
    )

    assert taken.bodies == [body]


def test_array_and_lines_are_taken_apart_in_the_charset_that_they_name() -> None:
    array, lines = '["Ž", "€"]'.encode("utf-16"), '"Ž"\n"€"\n'.encode("cp1250")

    assert take(array, ("Content-Type", b"application/json; charset=utf-16")).bodies == ['"Ž"'.encode(), '"€"'.encode()]
    assert take(
        gzip.compress(lines),
        ("Content-Type", b"application/x-ndjson; charset=windows-1250"),
        ("Content-Encoding", b"gzip"),
    ).bodies == ['"Ž"'.encode(), '"€"'.encode()]


def test_batch_of_cloudevents_is_an_event_for_each_with_headers_and_id_of_its_own() -> None:
    batch = json.dumps([CLOUDEVENT, {**CLOUDEVENT, "id": "2"}]).encode()
    alone = take(json.dumps(CLOUDEVENT).encode(), ("Content-Type", b"application/cloudevents+json"))

    taken = take(batch, ("Content-Type", b"application/cloudevents-batch+json"), ("X-A", b"1"))

    assert taken.bodies == [b'{"n": 1}', b'{"n": 1}']
    assert [dict(taken.headers(index))["Ce-Id"] for index in (0, 1)] == [b"1", b"2"]
    assert dict(taken.headers(0))["X-A"] == b"1"
    first, second = taken.ids or ()
    assert [first] == list(alone.ids or ())
    assert first != second


def test_cloudevent_has_the_same_id_in_each_mode() -> None:
    fields = [(f"Ce-{name.capitalize()}", str(value).encode()) for name, value in CLOUDEVENT.items() if name != "data"]
    whole = json.dumps(CLOUDEVENT).encode()

    modes = [
        take(b'{"n": 1}', *fields, ("Content-Type", b"application/json")),
        take(whole, ("Content-Type", b"application/cloudevents+json")),
        take(b"[" + whole + b"]", ("Content-Type", b"application/cloudevents-batch+json")),
    ]

    assert len({tuple(taken.ids or ()) for taken in modes}) == 1
    assert [taken.bodies for taken in modes] == [[b'{"n": 1}']] * 3


def test_data_of_a_binary_cloudevent_is_one_event_though_it_is_an_array() -> None:
    fields = [(f"Ce-{name.capitalize()}", str(value).encode()) for name, value in CLOUDEVENT.items() if name != "data"]

    assert take(b"[1,2]", *fields).bodies == [b"[1,2]"]


def test_cloudevents_in_another_format_are_refused() -> None:
    with pytest.raises(UnsupportedMediaType, match="CloudEvents are taken in JSON"):
        take(b"", ("Content-Type", b"application/cloudevents+avro"))


def test_broken_cloudevent_refuses_its_whole_batch_and_says_which_it_is() -> None:
    batch = json.dumps([CLOUDEVENT, {"id": "2"}]).encode()

    with pytest.raises(BadRequest, match='Event at index 1: The CloudEvent has no "source"'):
        take(batch, ("Content-Type", b"application/cloudevents-batch+json"))


def test_broken_cloudevent_harms_no_other_when_each_has_its_own_end() -> None:
    batch = json.dumps([CLOUDEVENT, {"id": "2"}, {**CLOUDEVENT, "id": "3"}]).encode()

    taken = take(batch, ("Content-Type", b"application/cloudevents-batch+json"), each=True)

    assert {index: error.message for index, error in taken.faults.items()} == {
        1: 'The CloudEvent has no "source", "specversion", "type"; each has id, source, specversion and type'
    }
    assert len(taken.bodies) == len(list(taken.ids or ())) == 3


@pytest.mark.parametrize("each", [False, True])
def test_event_above_the_limit_is_refused_though_its_body_may_be_inflated(each: bool) -> None:
    body = gzip.compress(b"x" * 1001)

    with pytest.raises(PayloadTooLarge, match="maximum size of an event is 1000B"):
        take(body, ("Content-Encoding", b"gzip"), each=each)


def test_one_large_event_of_many_is_named() -> None:
    fields = (("Content-Encoding", b"gzip"), ("Content-Type", b"application/x-ndjson"))
    body = gzip.compress(b"1\n" + b"2" * 1001 + b"\n3\n")

    with pytest.raises(PayloadTooLarge, match="Event at index 1: Payload too large"):
        take(body, *fields)
    assert set(take(body, *fields, each=True).faults) == {1}


def ids(taken: Taken) -> Sequence[str]:
    return list(taken.ids or ())


def test_idempotency_key_names_each_event_and_goes_before_the_id_of_a_cloudevent() -> None:
    key = ("Idempotency-Key", b"k")
    batch = json.dumps([CLOUDEVENT, {**CLOUDEVENT, "id": "2"}]).encode()

    for body, content_type in ((b"[1,2]", b"application/json"), (batch, b"application/cloudevents-batch+json")):
        taken = take(body, ("Content-Type", content_type), key)
        assert ids(taken) == list(ids_of(b"k", "1/clicks", 2))
        assert key in taken.headers(0)


def test_list_of_places_is_no_header_of_the_events() -> None:
    key = ("Idempotency-Key", b"kafka:orders/0/1-2")
    batch = json.dumps([CLOUDEVENT, {**CLOUDEVENT, "id": "2"}]).encode()

    for body, content_type in ((b"[1,2]", b"application/json"), (batch, b"application/cloudevents-batch+json")):
        taken = take(body, ("Content-Type", content_type), key)
        assert ids(taken) == list(ids_of(key[1], "1/clicks", 2))
        assert all("Idempotency-Key" not in dict(taken.headers(index)) for index in (0, 1))


def test_events_without_a_key_have_no_id_yet() -> None:
    assert take(b"[1,2]").ids is None
