"""Conditions: the grammar of sizes and times, their echo, and their bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.conditions import (
    KIB,
    MIB,
    Bounds,
    format_size,
    format_time,
    parse_size,
    parse_time,
    read_count,
    read_size,
    read_time,
)
from app.model.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("456", 456),
        ("456B", 456),
        ("1k", KIB),
        ("100kB", 100 * KIB),
        ("100 KB", 100 * KIB),
        (" 5MB ", 5 * MIB),
        ("5m", 5 * MIB),
        ("2gb", 2 * KIB * MIB),
    ],
)
def test_size_is_read_in_powers_of_1024(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "MB", "5Mb", "-1B", "1.5MB", "5 TB", "5MBx"])
def test_size_that_is_not_of_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="is not valid buffer size in bytes"):
        parse_size(text)


@given(st.integers(0, 10**14))
def test_size_that_is_echoed_is_read_as_the_same(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1m30s", 90), ("1.5h", 5400), ("100ms", 0.1), ("24h0m0s", 86400), (".5s", 0.5), ("2us", 2e-6)],
)
def test_time_is_read_as_go_does(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "1d", "1m 30s", "-30s", "30S", "1m,5s"])
def test_time_that_is_not_of_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="is not valid time duration"):
        parse_time(text)


@given(st.integers(0, 10**6))
def test_time_that_is_echoed_is_read_as_the_same(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(30, "30s"), (300, "5m0s"), (86400, "24h0m0s"), (0.5, "500ms"), (90.5, "1m30.5s"), (0, "0s")],
)
def test_time_is_echoed_as_go_does(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (read_count, 0, "^here must be greater or equal than 1 but got value 0$"),
        (read_count, 10_000_001, "^here must be lesser or equal than 10000000 but got value 10000001$"),
        (read_size, "99", '"size" must be 100B or greater$'),
        (read_size, "52428801", '"size" must be 50MB or less$'),
        (read_time, "29.9s", '"time" must be 30s or greater$'),
        (read_time, "24h1s", '"time" must be 24h0m0s or less$'),
    ],
)
def test_condition_out_of_bounds_is_named_with_what_is_allowed(read: Any, value: Any, message: str) -> None:
    path = ("here",) if read is read_count else ()

    with pytest.raises(BadRequest, match=message):
        read(value, Bounds(), *path)


def test_conditions_at_their_bounds_pass() -> None:
    bounds = Bounds()

    assert [read_count(count, bounds, "here") for count in (1, 10_000_000)] == [1, 10_000_000]
    assert [read_size(size, bounds) for size in ("100B", "50MB")] == [100, 50 * MIB]
    assert [read_time(time, bounds) for time in ("30s", "24h")] == [30, 86400]


def test_long_value_is_not_repeated_whole() -> None:
    with pytest.raises(BadRequest) as refused:
        parse_size("x" * 5000)

    assert "x" * 100 + "…" in refused.value.message
    assert len(refused.value.message) < 300
