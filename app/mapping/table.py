"""Columns to CSV: RFC 4180, LF, every value quoted, no header, never a null.

What the text may hold is decided here: it is valid UTF-8 without NUL. Bytes that are not UTF-8, lone surrogates and NUL
(which databases and CSV readers refuse or cut at) become U+FFFD.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import csv

from app.mapping.headers import clean_text

_OPTIONS = csv.WriteOptions(include_header=False, quoting_style="all_valid")
_REPLACEMENT = "\ufffd".encode()


def text_array(texts: Sequence[str]) -> pa.Array:
    r"""A column of texts.

    >>> text_array(["a", "b\ud800"]).to_pylist()
    ['a', 'b�']
    """
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([clean_text(text) for text in texts], pa.string())


def bytes_array(values: Sequence[bytes]) -> pa.Array:
    r"""A column of texts given as UTF-8.

    >>> bytes_array([b"a", b"b\xff"]).to_pylist()
    ['a', 'b�']
    """
    try:
        return pa.array(values, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([value.decode("utf-8", "replace") for value in values], pa.string())


def write_csv(columns: Sequence[pa.Array]) -> bytes:
    r"""Rows of these columns, all of the same length and without nulls.

    >>> write_csv([text_array(['q"q', "a\nb\0"]), bytes_array([b"", b"\xff"])])
    b'"q""q",""\n"a\nb\xef\xbf\xbd","\xef\xbf\xbd"\n'
    """
    if not len(columns[0]):
        return b""
    sink = pa.BufferOutputStream()
    csv.write_csv(pa.Table.from_arrays(list(columns), names=[str(n) for n in range(len(columns))]), sink, _OPTIONS)
    text: bytes = sink.getvalue().to_pybytes()
    return text.replace(b"\0", _REPLACEMENT) if b"\0" in text else text
