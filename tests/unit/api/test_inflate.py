"""Compressed bodies: whole or refused, and never more than the limit at a time."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.bounded import PART_BYTES
from app.api.inflate import MAX_MEMBERS, coding_of, inflate
from app.model.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

LIMIT = 4 * 1024 * 1024


def raw_deflate(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(body) + deflater.flush()


WAYS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd.compress),
}
ways = pytest.mark.parametrize(("coding", "compress"), WAYS.values(), ids=WAYS)
Compress = Callable[[bytes], bytes]


def inflated(body: bytes, coding: str, most_bytes: int = LIMIT) -> bytes:
    return b"".join(inflate(body, coding, most_bytes))


@settings(deadline=None)
@given(st.binary(max_size=2000), st.integers(1, 400), st.sampled_from(sorted(WAYS)))
def test_what_was_compressed_comes_back(piece: bytes, times: int, way: str) -> None:
    coding, compress = WAYS[way]

    assert inflated(compress(piece * times), coding) == piece * times


@ways
def test_nothing_more_than_one_part_is_inflated_at_a_time(coding: str, compress: Compress) -> None:
    parts = list(inflate(compress(b"x" * LIMIT), coding, LIMIT))

    assert sum(map(len, parts)) == LIMIT
    assert max(map(len, parts)) <= PART_BYTES


@ways
def test_bomb_is_refused_before_it_has_gone_off(coding: str, compress: Compress) -> None:
    bomb = compress(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge, match="maximum size of an inflated body is 1MB"):
            deque(inflate(bomb, coding, 1024 * 1024), maxlen=0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 2 * len(bomb) + 4 * PART_BYTES


@ways
def test_body_that_ends_too_early_is_refused(coding: str, compress: Compress) -> None:
    whole = compress(bytes(range(256)) * 50)

    for end in (1, len(whole) // 2, len(whole) - 1):
        with pytest.raises(BadRequest, match=f"not valid {coding}"):
            inflated(whole[:end], coding)


@pytest.mark.parametrize("way", ["gzip", "zlib"])
def test_wrong_checksum_is_refused(way: str) -> None:
    coding, compress = WAYS[way]
    whole = bytearray(compress(b"events"))
    whole[-6 if way == "gzip" else -2] ^= 1

    with pytest.raises(BadRequest, match=f"not valid {coding}"):
        inflated(bytes(whole), coding)


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from(sorted(WAYS)), st.integers(0, 200), st.integers(0, 255))
def test_broken_bodies_are_refused_and_never_crash(piece: bytes, way: str, place: int, other: int) -> None:
    coding, compress = WAYS[way]
    whole = bytearray(compress(piece))
    whole[place % len(whole)] = other

    for body in (bytes(whole), piece, bytes(whole) + piece):
        with suppress(BadRequest, PayloadTooLarge):
            inflated(body, coding)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_streams_one_behind_the_other_are_one_body(coding: str) -> None:
    compress = WAYS[coding][1]

    assert inflated(compress(b"a\n") + compress(b"") + compress(b"b\n"), coding) == b"a\nb\n"


def test_padding_behind_gzip_is_ignored_and_anything_else_is_not() -> None:
    assert inflated(gzip.compress(b"a") + bytes(100), "gzip") == b"a"
    with pytest.raises(BadRequest, match="not valid gzip"):
        inflated(gzip.compress(b"a") + b"rest", "gzip")


def test_bytes_behind_deflate_are_refused() -> None:
    with pytest.raises(BadRequest, match="4 bytes follow its end"):
        inflated(zlib.compress(b"a") + b"rest", "deflate")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_empty_streams_without_end_are_refused(coding: str) -> None:
    with pytest.raises(BadRequest, match=f"more than {MAX_MEMBERS} {coding} streams"):
        inflated(WAYS[coding][1](b"") * (MAX_MEMBERS + 1), coding)


def test_zstd_that_wants_more_memory_than_http_allows_is_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.enable_long_distance_matching: 1}
    compressor = zstd.ZstdCompressor(options=options)  # without its size in the frame, so that the window counts
    body = compressor.compress(b"events") + compressor.flush()

    with pytest.raises(BadRequest, match="not valid zstd"):
        inflated(body, "zstd")


def test_empty_body_is_empty() -> None:
    assert inflated(b"", "gzip") == b""


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, None),
        (b"identity", None),
        (b"", None),
        (b"gzip", "gzip"),
        (b"GZip", "gzip"),
        (b"x-gzip", "gzip"),
        (b"identity, deflate", "deflate"),
        (b" zstd ", "zstd"),
    ],
)
def test_header_names_the_coding(header: bytes | None, coding: str | None) -> None:
    assert coding_of(header) == coding


@pytest.mark.parametrize("header", [b"br", b"gzip, gzip", b"compress", b"\xff", b"gzip;q=1"])
def test_other_codings_are_refused_with_what_is_supported(header: bytes) -> None:
    with pytest.raises(UnsupportedMediaType, match="supported encodings: gzip, deflate and zstd, one at a time"):
        coding_of(header)
