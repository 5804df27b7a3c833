from __future__ import annotations

import tracemalloc

import pytest

from app.mapping.body import BodyKind
from app.mapping.headers import HeaderSet, canonical_name


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("x-REQUEST-id", "X-Request-Id"),
        ("content-type", "Content-Type"),
        ("has space", "has space"),
        ("a--b", "A--B"),
        ("čau-x", "čau-x"),
        ("", ""),
    ],
)
def test_canonical_name(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical


def test_long_names_of_strangers_are_not_kept() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(500):
            canonical_name(f"x-{number}-{'a' * 10_000}")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 1_000_000


def test_first_value_of_a_repeated_header_counts() -> None:
    headers = HeaderSet([("Foo2", b"bar2"), ("foo1", b"bar1"), ("foo2", b"bar3")])

    assert headers.cell == '{"Foo1":"bar1","Foo2":"bar2"}'
    assert headers.text == "Foo1: bar1\nFoo2: bar2\n"


def test_cell_escapes_what_html_minds_and_keeps_other_characters() -> None:
    headers = HeaderSet([("X", '<a href="é">&\u2028'.encode())])

    assert headers.cell == r'{"X":"\u003ca href=\"é\"\u003e\u0026\u2028"}'


def test_no_headers() -> None:
    headers = HeaderSet([])

    assert (headers.cell, headers.text, headers.size, headers.kind) == ("{}", "", 0, BodyKind.JSON)


def test_bytes_and_names_that_are_no_text() -> None:
    headers = HeaderSet([("a\ud800", b"\xff")])

    assert headers.cell == '{"a\ufffd":"\ufffd"}'


def test_size_counts_names_and_values_as_received() -> None:
    assert HeaderSet([("Foo", b"12"), ("Foo", b"345")]).size == 11
