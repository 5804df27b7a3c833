"""Bodies in other charsets than UTF-8."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.bounded import PART_BYTES
from app.api.charset import _CODECS, TextKind, charset_named, in_utf8
from app.api.media import charset_of, is_plain
from app.model.errors import PayloadTooLarge, UnsupportedMediaType

LIMIT = 1024 * 1024
WORDS = st.text(alphabet="日本ソa b&=+%;", max_size=9)
"""The third has a backslash's byte in Shift_JIS."""


def read(body: bytes, content_type: str, most_bytes: int = LIMIT) -> bytes:
    charset = charset_of(content_type.encode("latin-1"))
    return body if charset is None else b"".join(in_utf8(body, charset, most_bytes))


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/plain; charset=utf-8",
        'Text/Plain;CHARSET="UTF8"',
        "text/plain; charset='utf-8'",
        "text/plain; charset=us-ascii",
        "text/plain; charset=",
        'text/plain; note="; charset=koi8-r"',
        "application/octet-stream; charset=binary",
        "image/png; charset=koi8-r",
        "multipart/form-data; boundary=charset=koi8-r",
    ],
)
def test_body_in_utf_8_or_that_is_no_text_needs_no_reading(content_type: str) -> None:
    assert charset_of(content_type.encode()) is None
    assert is_plain(content_type.encode())


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("text/plain; charset=iso-8859-2", b"\xaelu\xbbou\xe8k\xfd", "Žluťoučký"),
        ("text/csv;header=present;charset=windows-1250", b"\x8e;\x80", "Ž;€"),
        ('text/plain; charset="windows-1252"; format=flowed', b"\x93caf\xe9\x94", "“café”"),
        ("text/plain; charset=ISO-8859-1", b"\x93caf\xe9\x94", "“café”"),
        ("text/plain; charset=windows-874", b"\xa1\xa2", "กข"),
        ("text/plain; charset=koi8-r", b"\xf0\xd2\xc9", "При"),
        ("text/plain; charset=Shift_JIS", b"\x93\xfa\x96{", "日本"),
        ("text/plain; charset=gb2312", b"\xc0\xee", "李"),
        ("text/plain; charset=utf-16", "\ufeffŽ".encode("utf-16-be"), "Ž"),
        ("text/plain; charset=utf-16", "Ž".encode("utf-16-le"), "Ž"),
        ("text/plain; charset=utf-16le", "\ufeffŽ".encode("utf-16-le"), "Ž"),
        ("application/xml; charset=iso-8859-1", b"<a>\xe9</a>", "<a>é</a>"),
        ("application/atom+xml; charset=iso-8859-1", b"<a>\xe9</a>", "<a>é</a>"),
        ("text/plain; charset=euc-jp", b"\xc6", "\ufffd"),
    ],
)
def test_text_is_read_in_the_charset_that_it_names(content_type: str, body: bytes, text: str) -> None:
    assert read(body, content_type) == text.encode()


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "x-unknown"])
def test_json_in_utf_8_is_taken_as_it_is_whatever_it_says_of_itself(charset: str) -> None:
    body = '{"name": "Žofie"}'.encode()

    assert read(body, f"application/json; charset={charset}") == body
    assert read(body, f"application/x-ndjson; charset={charset}") == body
    assert read(body, f"application/cloudevents+json; charset={charset}") == body


@pytest.mark.parametrize("charset", ["iso-8859-2", "utf-16", "utf-16-be", "utf-32"])
def test_json_that_is_no_utf_8_is_read_in_the_charset_that_it_names(charset: str) -> None:
    text = '{"name": "Žofie"}'

    assert read(text.encode(charset), f"application/json; charset={charset}") == text.encode()


@pytest.mark.parametrize("charset", ["x-unknown", "utf-7", "idna", "rot13", "unicode-escape", "\xfe"])
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_what_cannot_be_read_is_refused_with_the_charsets_that_can(charset: str, media_type: str) -> None:
    with pytest.raises(UnsupportedMediaType, match=f'charset "{charset}".*, supported charsets: utf-8, '):
        read(b"\xe9", f"{media_type}; charset={charset}")


def test_form_has_its_escapes_in_the_charset_too() -> None:
    body = "m\xec=\xe8+%E8%2B&plain=a+b%20c&&x%5B%5D=&%E8".encode("latin-1")

    text = read(body, "application/x-www-form-urlencoded; charset=iso-8859-2").decode("ascii")

    assert parse_qsl(text, keep_blank_values=True) == [("mě", "č č+"), ("plain", "a b c"), ("x[]", ""), ("č", "")]


@pytest.mark.parametrize("body", [b"a=%zz%E8", b"a=\xe8;b=1", b"a=%"])
def test_what_is_wrong_with_a_form_stays_for_the_mapping_to_tell(body: bytes) -> None:
    assert read(body, "application/x-www-form-urlencoded; charset=iso-8859-2") == body


def test_form_in_utf_16_is_refused_for_it_is_made_of_bytes() -> None:
    with pytest.raises(UnsupportedMediaType, match='charset "utf-16" of a form, supported charsets: utf-8, iso-8859'):
        read(b"a=1", "application/x-www-form-urlencoded; charset=utf-16")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_body_that_is_too_long_in_utf_8_is_refused_before_all_of_it_is_read(media_type: str) -> None:
    body = b"\xf0=&" * (4 * PART_BYTES)
    charset = charset_of(f"{media_type}; charset=koi8-r".encode())
    assert charset is not None
    parts = in_utf8(body, charset, 3 * PART_BYTES)

    taken = [len(part) for part in (next(parts), next(parts, b""))]
    with pytest.raises(PayloadTooLarge, match="maximum size of a body in UTF-8 is 768KB"):
        list(parts)

    assert 0 < sum(taken) <= 3 * PART_BYTES


@given(st.text(alphabet=st.characters(codec="cp1250"), max_size=50), st.integers(1, 3))
def test_text_comes_back_wherever_its_parts_are_cut(text: str, times: int) -> None:
    body = (text * times * 3000).encode("cp1250")

    assert read(body, "text/plain; charset=windows-1250", 64 * LIMIT) == (text * times * 3000).encode()


@given(st.dictionaries(WORDS, WORDS))
def test_form_means_the_same_in_every_charset(fields: dict[str, str]) -> None:
    body = "&".join(f"{quote_plus(k, encoding='cp932')}={quote_plus(v, encoding='cp932')}" for k, v in fields.items())

    text = read(body.encode(), "application/x-www-form-urlencoded; charset=shift_jis").decode("ascii")

    assert dict(parse_qsl(text, keep_blank_values=True)) == fields


@given(st.binary(max_size=200), st.sampled_from(sorted(_CODECS)), st.sampled_from(TextKind))
def test_any_bytes_are_read_as_text_or_refused(body: bytes, label: str, kind: TextKind) -> None:
    charset = charset_named(label, kind)
    assert charset is not None

    try:
        found = b"".join(in_utf8(body, charset, LIMIT))
    except UnsupportedMediaType:
        assert kind is TextKind.FORM
    else:
        assert kind is TextKind.FORM or isinstance(found.decode(), str)
