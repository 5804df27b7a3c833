"""CSV slices to rows."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.local.storage.csv_slices import MAX_ROW_BYTES, Dialect, Slice, SliceRows, read_header
from app.local.storage.errors import JobFailed

Row = tuple[str, ...]


RFC = Dialect()


def rows_of(slices: list[Slice], columns: list[str], dialect: Dialect = RFC, *, header: bool = False) -> list[Row]:
    table = SliceRows(slices, columns, dialect, with_header=header).reader.read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def slice_of(folder: Path, content: bytes, name: str = "a.csv") -> Slice:
    path = folder / "slice"
    path.write_bytes(content)
    return Slice(name, path)


nasty = st.text(st.sampled_from(list("a\"\n\r,\\.\0\té😀\ufeff\u2028 '#N;")), max_size=8)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[nasty] * width), max_size=30)), st.booleans())
def test_every_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], crlf: bool) -> None:
    width = len(rows[0]) if rows else 1
    end = "\r\n" if crlf else "\n"
    content = "".join(",".join('"' + value.replace('"', '""') + '"' for value in row) + end for row in rows).encode()
    piece = slice_of(tmp_path_factory.mktemp("csv"), gzip.compress(content), "s3://b/k.gz")

    assert rows_of([piece], [f"c{number}" for number in range(width)]) == rows


def test_rows_across_block_borders_are_whole(tmp_path: Path) -> None:
    values = [("x\n" * (MAX_ROW_BYTES // 5), str(number)) for number in range(5)]
    content = "".join(f'"{text}","{number}"\n' for text, number in values).encode()

    assert rows_of([slice_of(tmp_path, content)], ["text", "number"]) == values


def test_empty_slices_and_empty_values(tmp_path: Path) -> None:
    empty, packed, full = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    empty.write_bytes(b"")
    packed.write_bytes(gzip.compress(b""))
    full.write_bytes(b'"",\n,""\n')

    rows = rows_of([Slice("1", empty), Slice("2.gz", packed), Slice("3", full)], ["a", "b"])

    assert rows == [("", ""), ("", "")]


def test_header_is_read_and_left_out(tmp_path: Path) -> None:
    piece = slice_of(tmp_path, b'\xef\xbb\xbf"id","two\nlines"\r\n"1","NULL"\r\n')

    header = read_header(piece, Dialect())

    assert header == ["id", "two\nlines"]
    assert rows_of([piece], header, header=True) == [("1", "NULL")]


def test_other_dialects(tmp_path: Path) -> None:
    piece = slice_of(tmp_path, b"1\\;2;'x'\n")

    assert rows_of([piece], ["a", "b"], Dialect(";", "", "\\")) == [("1;2", "'x'")]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'"1","2","3"\n', "a.csv"),
        (b'"1"\n', "a.csv"),
        (b'"1","\xff"\n', "a.csv"),
        (b"not gzip", "a.gz"),
        (gzip.compress(b'"1","2"\n' * 1000)[:-12], "a.gz"),
    ],
    ids=["too many", "too few", "not utf-8", "not gzip", "cut short"],
)
def test_broken_slice_is_named_in_the_failure(tmp_path: Path, content: bytes, name: str) -> None:
    rows = SliceRows([slice_of(tmp_path, content, name)], ["a", "b"], Dialect(), with_header=False)

    with pytest.raises(JobFailed, match=name):
        rows.reader.read_all()

    assert rows.failure is not None
    assert rows.failure.code == "invalidCsv"


def test_file_without_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match="no header"):
        read_header(slice_of(tmp_path, b""), Dialect())
