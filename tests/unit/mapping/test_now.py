from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.now import FormatInvalid, Stamps, format_time

SAMPLE = 1_672_628_645_006


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("%Y-%m-%dT%H:%M:%S.%fZ", "2023-01-02T03:04:05.006Z"),
        ("%A %a %B %b %h", "Monday Mon January Jan Jan"),
        ("%c", "Mon Jan  2 03:04:05 2023"),
        ("%v", " 2-Jan-2023"),
        ("%r", "03:04:05 AM"),
        ("%x %D", "01/02/23 01/02/23"),
        ("%X %T %R", "03:04:05 03:04:05 03:04"),
        ("%C %e %k %l %j %u %w", "20  2  3  3 002 1 1"),
        ("%I %p %y %F", "03 AM 23 2023-01-02"),
        ("%Z %z", "UTC +0000"),
        ("%U %V %W", "01 01 01"),
        ("a%nb%tc%%d%%Y", "a\nb\tc%d%Y"),
        ("čas: %H", "čas: 03"),
        ("", ""),
    ],
)
def test_formats(format: str, text: str) -> None:
    assert format_time(SAMPLE, format) == text


@pytest.mark.parametrize("format", ["%s", "%L", "%G", "%g", "%N", "%E", "%O", "%P", "%", "100%", "%%%", "%é"])
def test_unknown_conversion_is_refused(format: str) -> None:
    with pytest.raises(FormatInvalid) as caught:
        format_time(SAMPLE, format)

    assert str(caught.value).startswith(f'datetime format "{format}" is invalid: ')


@given(
    st.integers(-2_000_000_000_000, 8_000_000_000_000),
    st.sampled_from("AaBbCcDdeFHIjklMmnpRrSTtUuVWwYyZz%"),
)
def test_the_same_as_strftime(ms: int, conversion: str) -> None:
    moment = datetime.fromtimestamp(ms // 1000, UTC)

    assert format_time(ms, f"%{conversion}") == moment.strftime(f"%{conversion}")


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_stamp_is_the_default_format(ms: int) -> None:
    assert Stamps()[ms] == format_time(ms)


@pytest.mark.parametrize(
    ("ms", "text"), [(-(2**63), "0001-01-01T00:00:00.000Z"), (2**63 - 1, "9999-12-31T23:59:59.999Z")]
)
def test_time_out_of_range_is_the_nearest_inside(ms: int, text: str) -> None:
    assert format_time(ms) == text
    assert Stamps()[ms] == text


def test_stamps_do_not_grow_without_bound() -> None:
    stamps = Stamps()

    for ms in range(50_000):
        assert stamps[ms].endswith("Z")

    assert len(stamps) <= 20_000
