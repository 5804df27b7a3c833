"""Compressed bodies: `Content-Encoding` gzip, deflate and zstd.

Inflated part by part, so that a body of which too much would come is refused when it passes the limit, before more of
it takes memory or time. What ends too early, or does not fit its checksum, is refused too: nothing is ever taken for
whole that is not. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, cast

from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
from isal.igzip_lib import DECOMP_DEFLATE, DECOMP_GZIP, DECOMP_ZLIB, IgzipDecompressor, IsalError

from app.api.bounded import PART_BYTES, bounded
from app.model.errors import BadRequest, UnsupportedMediaType, clipped

CODINGS = ("gzip", "deflate", "zstd")
MAX_MEMBERS = 1000
"""Streams one behind the other in one body, as gzip and zstd allow: an empty one costs far more time than its bytes."""
_ZSTD_WINDOW_LOG = 23
"""8 MiB, which every encoder for HTTP keeps to. Source: RFC 9659."""

_BROKEN: tuple[type[Exception], ...] = (cast("type[Exception]", IsalError), ZstdError)
"""What the decompressors raise; isal's types say that its error is an instance."""


class _Inflater(Protocol):
    """What the decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def coding_of(content_encoding: bytes | None) -> str | None:
    """The coding of a body with this header; None for a body that is as it is.

    Raises UnsupportedMediaType for other codings and for several.
    """
    if content_encoding is None:
        return None
    text = content_encoding.decode("latin-1")
    codings = [coding for part in text.lower().split(",") if (coding := part.strip()) not in ("", "identity")]
    if not codings:
        return None
    coding = codings[0].removeprefix("x-")  # x-gzip is gzip (RFC 9110)
    if len(codings) > 1 or coding not in CODINGS:
        raise UnsupportedMediaType(
            f'Unsupported content encoding "{clipped(text)}", '
            "supported encodings: gzip, deflate and zstd, one at a time"
        )
    return coding


def inflate(body: bytes, coding: str, most_bytes: int) -> Iterator[bytes]:
    """The body's parts in order, of at most PART_BYTES each.

    Raises PayloadTooLarge as soon as they have more than `most_bytes` together, BadRequest when the body is broken.
    """
    return bounded(_parts(body, coding), most_bytes, "an inflated body")


def _parts(body: bytes, coding: str) -> Iterator[bytes]:
    make, rest = _maker(body, coding), body
    for _ in range(MAX_MEMBERS):
        if not rest:
            return
        inflater = make()
        try:
            yield from _member(inflater, rest, coding)
        except _BROKEN as error:
            raise BadRequest(f"The body is not valid {coding}: {error}") from error
        rest = inflater.unused_data
        if coding == "gzip":
            rest = rest.lstrip(b"\0")  # padding, as tar and tapes leave it
        elif coding == "deflate" and rest:
            raise BadRequest(f"The body is not valid deflate: {len(rest)} bytes follow its end")
    if rest:
        raise BadRequest(f"The body has more than {MAX_MEMBERS} {coding} streams one behind the other")


def _member(inflater: _Inflater, data: bytes, coding: str) -> Iterator[bytes]:
    part = inflater.decompress(data, PART_BYTES)
    while True:
        if part:
            yield part
        if inflater.eof:
            return
        if inflater.needs_input:
            raise BadRequest(f"The body is not valid {coding}: it ends too early")
        part = inflater.decompress(b"", PART_BYTES)


def _maker(body: bytes, coding: str) -> Callable[[], _Inflater]:
    if coding == "zstd":
        return lambda: ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})
    flag = DECOMP_GZIP
    if coding == "deflate":  # zlib's format (RFC 9110), but many send it without zlib's header
        has_header = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
        flag = DECOMP_ZLIB if has_header else DECOMP_DEFLATE
    return lambda: IgzipDecompressor(flag)
