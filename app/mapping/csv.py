"""Where the rows of a CSV text end, and what a row holds.

The text is what `app.mapping.table` writes: RFC 4180, LF after every row, every value quoted. Newlines inside quotes
belong to a value and end no row. Writing is left to `app.mapping.table`, which needs pyarrow; this module needs
nothing.
"""

from __future__ import annotations

import re

_VALUE = re.compile(rb'"((?:[^"]+|"")*)"[,\n]')


def row_ends(csv: bytes) -> list[int]:
    """The byte offset after each row, in order; the last one is `len(csv)`.

    A quote inside a value is doubled, so a newline ends a row when the quotes before it are even in number.

    >>> row_ends(b'"a","b"\\n"c","d\\n"\\n')
    [8, 17]
    """
    ends: list[int] = []
    end = 0
    inside = False
    for line in csv.split(b"\n")[:-1]:
        end += len(line) + 1
        if line.count(b'"') & 1:
            inside = not inside
        if not inside:
            ends.append(end)
    return ends


def row_values(row: bytes) -> list[bytes]:
    """The values of one row, unquoted, in order.

    >>> row_values(b'"a","say ""b""\\n",""\\n')
    [b'a', b'say "b"\\n', b'']
    """
    return [value.replace(b'""', b'"') for value in _VALUE.findall(row)]
