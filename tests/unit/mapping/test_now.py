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


CONVERSIONS = {
    "A": "Monday",
    "a": "Mon",
    "B": "January",
    "b": "Jan",
    "C": "20",
    "c": "Mon Jan  2 03:04:05 2023",
    "D": "01/02/23",
    "d": "02",
    "e": " 2",
    "F": "2023-01-02",
    "f": "006",
    "H": "03",
    "h": "Jan",
    "I": "03",
    "j": "002",
    "k": " 3",
    "l": " 3",
    "M": "04",
    "m": "01",
    "n": "\n",
    "p": "AM",
    "R": "03:04",
    "r": "03:04:05 AM",
    "S": "05",
    "T": "03:04:05",
    "t": "\t",
    "U": "01",
    "u": "1",
    "V": "01",
    "v": " 2-Jan-2023",
    "W": "01",
    "w": "1",
    "X": "03:04:05",
    "x": "01/02/23",
    "Y": "2023",
    "y": "23",
    "Z": "UTC",
    "z": "+0000",
    "%": "%",
}
ALLOWED = (
    "%% %A %a %B %b %C %c %D %d %e %F %f %H %h %I %j %k %l %M %m %n %p "
    "%R %r %S %T %t %U %u %V %v %W %w %X %x %Y %y %Z %z"
)


@pytest.mark.parametrize("conversion", [chr(code) for code in range(32, 127)])
def test_conversion_is_the_references_or_refused(conversion: str) -> None:
    """The sample of the reference, and nothing that it does not list."""
    format = f"%{conversion}"
    if conversion in CONVERSIONS:
        assert format_time(SAMPLE, format) == CONVERSIONS[conversion]
    else:
        with pytest.raises(FormatInvalid):
            format_time(SAMPLE, format)


@pytest.mark.parametrize(
    ("format", "what"),
    [
        *((format, f'"{format}" is not known') for format in ("%s", "%L", "%G", "%g", "%N", "%P", "%-", "%é", "%\n")),
        ("%EY", '"%E" is not known'),
        ("%Od", '"%O" is not known'),
        ("%Y %q %Z", '"%q" is not known'),
        ("%", 'it ends with a single "%"'),
        ("100%", 'it ends with a single "%"'),
        ("%%%", 'it ends with a single "%"'),
    ],
)
def test_message_names_format_conversion_and_all_that_is_allowed(format: str, what: str) -> None:
    with pytest.raises(FormatInvalid) as caught:
        format_time(SAMPLE, format)

    assert str(caught.value) == f'datetime format "{format}" is invalid: {what}; allowed: {ALLOWED}'


@pytest.mark.parametrize(
    ("moment", "format", "text"),
    [
        ("2023-01-01T00:00:00Z", "%I %l %k %H %p %u %w", "12 12  0 00 AM 7 0"),
        ("2023-12-31T12:59:59Z", "%I %l %k %H %p %j", "12 12 12 12 PM 365"),
        ("2024-12-31T13:00:00Z", "%I %l %k %p %j", "01  1 13 PM 366"),
        ("2023-01-01T00:00:00Z", "%U %V %W", "01 52 00"),
        ("2024-12-30T00:00:00Z", "%U %V %W", "52 01 53"),
        ("0099-05-06T00:00:00Z", "%Y %C %y", "0099 00 99"),
    ],
)
def test_edges_of_day_and_year(moment: str, format: str, text: str) -> None:
    ms = round(datetime.fromisoformat(moment).timestamp()) * 1000

    assert format_time(ms, format) == text


@pytest.mark.parametrize(("ms", "text"), [(999, "999"), (1000, "000"), (-1, "999"), (1_009, "009")])
def test_milliseconds_are_three_digits(ms: int, text: str) -> None:
    assert format_time(ms, "%f") == text


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
