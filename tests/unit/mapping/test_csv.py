from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mapping.csv import row_ends
from app.mapping.table import bytes_array, text_array, write_csv

# The csv module cannot read NUL; surrogates cannot be written.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
ROWS = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(TEXT, min_size=width, max_size=width), min_size=1))


def written(rows: list[list[str]]) -> bytes:
    return write_csv([text_array(list(column)) for column in zip(*rows, strict=True)])


@given(ROWS)
def test_python_reads_the_same_values(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(written(rows).decode(), newline=""), strict=True))

    assert read == rows


@given(ROWS)
def test_every_value_is_quoted_and_rows_end_with_lf(rows: list[list[str]]) -> None:
    expected = "".join(",".join('"' + value.replace('"', '""') + '"' for value in row) + "\n" for row in rows)

    assert written(rows) == expected.encode()


@given(ROWS)
def test_row_ends_are_the_sums_of_the_rows_sizes(rows: list[list[str]]) -> None:
    sizes = [len(written([row])) for row in rows]

    assert row_ends(written(rows)) == [sum(sizes[: number + 1]) for number in range(len(sizes))]


def test_no_rows_have_no_ends() -> None:
    assert row_ends(b"") == []
    assert write_csv([text_array([]), bytes_array([])]) == b""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"a\0b", "a\ufffdb"),
        (b"\xff", "\ufffd"),
        (b"ok \xc3\xa9 \xe2\x82", "ok é \ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_bytes_that_are_no_text_become_replacement_characters(value: bytes, text: str) -> None:
    assert write_csv([bytes_array([b"good", value])]).decode() == f'"good"\n"{text}"\n'


def test_lone_surrogates_become_replacement_characters() -> None:
    assert write_csv([text_array(["good", "a\ud800"])]).decode() == '"good"\n"a\ufffd"\n'
