"""CloudEvents in each content mode are the same event."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.cloudevents import CloudEvent, binary, structured
from app.model.errors import BadRequest

REQUEST = [("User-Agent", b"test"), ("Content-Type", b"application/cloudevents+json"), ("Ce-Id", b"copy")]
EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order"}
VALUE = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)


def sent(**members: object) -> CloudEvent:
    return structured(json.dumps({**EVENT, **members}).encode(), REQUEST)


def test_structured_event_is_its_data_with_its_attributes_as_headers() -> None:
    event = structured(
        b'{"specversion":"1.0","id":"1","source":"/shop","type":"order","time":"2026-01-02T03:04:05Z",'
        b'"number":7,"urgent":false,"absent":null, "data" : {"n": 1.10, "a": [12345678901234567890]} }',
        REQUEST,
    )

    assert event.body == b'{"n": 1.10, "a": [12345678901234567890]}'
    assert (event.source, event.id) == ("/shop", "1")
    assert event.headers == [
        ("User-Agent", b"test"),
        ("Content-Type", b"application/json"),
        ("Ce-Specversion", b"1.0"),
        ("Ce-Id", b"1"),
        ("Ce-Source", b"/shop"),
        ("Ce-Type", b"order"),
        ("Ce-Time", b"2026-01-02T03:04:05Z"),
        ("Ce-Number", b"7"),
        ("Ce-Urgent", b"false"),
    ]


@pytest.mark.parametrize(
    ("members", "body", "content_type"),
    [
        ({}, b"", b"application/json"),
        ({"data": None}, b"null", b"application/json"),
        ({"data": "text"}, b'"text"', b"application/json"),
        ({"data": "text", "datacontenttype": "text/plain"}, b"text", b"text/plain"),
        ({"data": "\u00e9", "datacontenttype": "text/plain"}, "\u00e9".encode(), b"text/plain"),
        ({"data": "{}", "datacontenttype": "application/vnd.x+json"}, b'"{}"', b"application/vnd.x+json"),
        ({"data": [1], "datacontenttype": "text/plain"}, b"[1]", b"text/plain"),
        ({"data_base64": b64encode(b"\x00\xff").decode()}, b"\x00\xff", b"application/json"),
        ({"data_base64": "", "datacontenttype": "a/b"}, b"", b"a/b"),
        ({"data": "\ud800"}, b'"\\ud800"', b"application/json"),
        ({"data_base64": None, "data": 1}, b"1", b"application/json"),
    ],
)
def test_data_is_read_by_its_own_type(members: dict[str, object], body: bytes, content_type: bytes) -> None:
    event = sent(**members)

    assert event.body == body
    assert dict(event.headers)["Content-Type"] == content_type


@given(st.dictionaries(st.from_regex("[a-z][a-z0-9]{0,8}", fullmatch=True), VALUE), VALUE, VALUE)
def test_binary_and_structured_mode_are_the_same_event(more: dict[str, str], source: str, id: str) -> None:
    attributes = {**{f"x{name}": value for name, value in more.items()}, **EVENT, "source": source, "id": id}
    fields = [(f"Ce-{name.capitalize()}", quote(value, safe="/").encode()) for name, value in attributes.items()]

    as_headers = binary(b'{"n":1}', [*fields, ("Content-Type", b"application/json")])
    as_json = structured(json.dumps({**attributes, "data": 0}).replace('"data": 0', '"data": {"n":1}').encode(), [])

    assert as_headers.body == as_json.body
    assert sorted(as_headers.headers) == sorted(as_json.headers)
    assert (as_headers.source, as_headers.id) == (as_json.source, as_json.id) == (source, id)


def test_quoted_value_of_a_header_is_read_without_its_quotes() -> None:
    fields = [("Ce-Specversion", b"1.0"), ("Ce-Id", b'"a \\"b\\" %25"'), ("Ce-Source", b"/s"), ("Ce-Type", b"t")]

    assert binary(b"", fields).id == 'a "b" %'


def test_other_headers_of_a_binary_event_stay_as_they_came() -> None:
    fields = [(f"Ce-{name.capitalize()}", value.encode()) for name, value in EVENT.items()]

    assert ("X-Path", b'"%41"') in binary(b"", [*fields, ("X-Path", b'"%41"')]).headers


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'expected "{" at character 0'),
        ("[]", 'expected "{" at character 0'),
        ('{"id":}', "is not valid JSON"),
        ('{"id":"1"', 'expected "," at character'),
        (json.dumps({**EVENT, "id": ""}), 'has no "id"; each has id, source, specversion and type'),
        (json.dumps({"id": "1"}), 'has no "source", "specversion", "type"'),
        (json.dumps({**EVENT, "specversion": "0.3"}), 'has the specversion "0.3"; supported is "1.0"'),
        (json.dumps({**EVENT, "comExample": "x"}), 'has an attribute "comExample"; names are 1 to 100 of a-z and 0-9'),
        (json.dumps({**EVENT, "x" * 101: "x"}), "names are 1 to 100 of a-z and 0-9"),
        (json.dumps({**EVENT, "subject": {"a": 1}}), 'attribute "subject" of the CloudEvent is neither a string'),
        (json.dumps({**EVENT, "number": 1.5}), 'attribute "number" of the CloudEvent is neither a string'),
        (json.dumps({**EVENT, "subject": "a\nb"}), 'attribute "subject" of the CloudEvent has a control character'),
        (json.dumps({**EVENT, "subject": "\ud800"}), "is not valid JSON"),
        (json.dumps({**EVENT, "data": 1, "data_base64": "AA=="}), "has both data and data_base64"),
        (json.dumps({**EVENT, "data_base64": "?"}), "not valid Base64"),
        (json.dumps({**EVENT, "data_base64": 1}), "not valid Base64"),
        (json.dumps({**EVENT, "data_base64": "\u00e9"}), "not valid Base64"),
    ],
)
def test_what_is_no_cloudevent_says_why(text: str, complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        structured(text.encode(), [])

    assert complaint in caught.value.message


@pytest.mark.parametrize("missing", ["Id", "Source", "Type"])
def test_binary_event_without_an_attribute_that_each_has_is_refused(missing: str) -> None:
    fields = [(f"Ce-{name.capitalize()}", value.encode()) for name, value in EVENT.items()]

    with pytest.raises(BadRequest, match=f'has no "{missing.lower()}"'):
        binary(b"", [field for field in fields if field[0] != f"Ce-{missing}"])
