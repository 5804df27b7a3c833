"""Bodies in other charsets than UTF-8, in UTF-8: what everything behind the gateway reads.

A charset is read as browsers read it (iso-8859-1 is windows-1252, gb2312 is gb18030). JSON is UTF-8 whatever it says of
itself, so one that is valid so is taken as it is. Pure.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from encodings import normalize_encoding
from encodings.aliases import aliases
from enum import Enum
from urllib.parse import quote_plus, unquote_to_bytes

from app.api.bounded import PART_BYTES, bounded
from app.model.errors import UnsupportedMediaType, clipped

NAMES = (
    "utf-8, utf-16, utf-32, iso-8859-1 to -16, windows-1250 to -1258, windows-874, ibm437, ibm850, ibm852, ibm855, "
    "ibm866, koi8-r, koi8-u, macintosh, gb18030, gbk, gb2312, big5, shift_jis, euc-jp, euc-kr"
)
NAMES_OF_FORMS = NAMES.replace("utf-16, utf-32, ", "")
"""A form is made of bytes."""
_WIDE = ("utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be")
_AS_NAMED = (
    *_WIDE,
    *(f"iso8859_{part}" for part in range(2, 17) if part != 12),
    *(f"cp{page}" for page in range(1250, 1259)),
    *("cp437", "cp850", "cp852", "cp855", "cp866", "cp874", "koi8_r", "koi8_u", "mac_roman"),
    *("gb18030", "big5hkscs", "cp932", "cp949", "euc_jp"),
)
_CODECS = {
    **{name: name for name in _AS_NAMED},
    # Source: WHATWG, Encoding Standard, names and labels.
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
"""Which of Python's codecs reads each charset, by the codec's name. `codecs.lookup` is not asked: it remembers all that
it was ever asked for, and knows codecs that are no charsets.
"""
_LABELS = {
    **{alias: _CODECS[codec] for alias, codec in aliases.items() if codec in _CODECS},
    **_CODECS,
    "windows_874": "cp874",
    "x_sjis": "cp932",
}
_UTF_8 = frozenset({"utf_8", "ascii", *(alias for alias, codec in aliases.items() if codec in ("utf_8", "ascii"))})
"""ASCII is the same bytes."""
_FORM_PART = re.compile(rb"[^&=]*[&=]?")
_FORM_PARTS_A_STEP = 1000
_BAD_PERCENT = re.compile(rb"%(?![0-9a-fA-F]{2})")


class TextKind(Enum):
    """What a charset means for a body."""

    TEXT = 0
    JSON = 1
    FORM = 2
    """Its escapes are bytes of the charset too."""


@dataclass(frozen=True, slots=True)
class Charset:
    """What a body is written in, as its sender says: `label`. `codec` is None for what we cannot read."""

    label: str
    codec: str | None
    kind: TextKind = TextKind.TEXT


def charset_named(label: str, kind: TextKind) -> Charset | None:
    """None for UTF-8, which needs no reading.

    >>> charset_named("ISO-8859-2", TextKind.TEXT), charset_named("UTF-8", TextKind.TEXT)
    (Charset(label='ISO-8859-2', codec='iso8859_2', kind=<TextKind.TEXT: 0>), None)
    """
    name = normalize_encoding(label.lower()) if label.isascii() else ""
    if name in _UTF_8:
        return None
    codec = _LABELS.get(name)
    return Charset(label, None if kind is TextKind.FORM and codec in _WIDE else codec, kind)


def in_utf8(body: bytes, charset: Charset, most_bytes: int) -> Iterator[bytes]:
    """The parts of the body in UTF-8, in order; U+FFFD stands for what is not of the charset.

    Raises UnsupportedMediaType for a charset that we cannot read, and PayloadTooLarge as soon as the parts have more
    than `most_bytes` together.
    """
    yield from bounded(_parts(body, charset), most_bytes, "a body in UTF-8")


def _parts(body: bytes, charset: Charset) -> Iterator[bytes]:
    if charset.kind is TextKind.JSON and _is_json_in_utf8(body):
        return iter((body,))
    if charset.codec is None:
        names, of = (NAMES_OF_FORMS, " of a form") if charset.kind is TextKind.FORM else (NAMES, "")
        raise UnsupportedMediaType(f'Unsupported charset "{clipped(charset.label)}"{of}, supported charsets: {names}')
    if charset.kind is TextKind.FORM:
        return _form_parts(body, charset.codec)
    return _text_parts(body, charset.codec)


def _is_json_in_utf8(body: bytes) -> bool:
    """Source: RFC 8259, 8.1. UTF-16 and UTF-32 have zeros beside each of JSON's own characters."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


def _text_parts(body: bytes, codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(_in_order(codec, body))("replace")
    for start in range(0, len(body), PART_BYTES):
        end = start + PART_BYTES
        text = decoder.decode(body[start:end], end >= len(body))
        yield (text if start else text.removeprefix("\ufeff")).encode()


def _in_order(codec: str, body: bytes) -> str:
    """With the order of bytes, which a mark at the beginning may say. Source: WHATWG, Encoding Standard."""
    if codec not in ("utf_16", "utf_32"):
        return codec
    mark = codecs.BOM_UTF16_BE if codec == "utf_16" else codecs.BOM_UTF32_BE
    return f"{codec}_be" if body.startswith(mark) else f"{codec}_le"


def _form_parts(body: bytes, codec: str) -> Iterator[bytes]:
    """Names and values one by one, their escapes written anew."""
    some = bytearray()
    for number, match in enumerate(_FORM_PART.finditer(body), 1):
        part = match[0]
        text = part.rstrip(b"&=")
        some += _form_text(text, codec) + part[len(text) :]
        if number % _FORM_PARTS_A_STEP == 0 or len(some) > PART_BYTES:
            yield bytes(some)
            some.clear()
    yield bytes(some)


def _form_text(text: bytes, codec: str) -> bytes:
    """What is no form stays so: the mapping says what is wrong with it."""
    if (text.isascii() and b"%" not in text) or b";" in text or _BAD_PERCENT.search(text):
        return text
    return quote_plus(unquote_to_bytes(text.replace(b"+", b" ")).decode(codec, "replace")).encode()
