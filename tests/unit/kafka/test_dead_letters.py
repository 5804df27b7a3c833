"""Which letters a page takes from the blocks of a partition, and where the next page goes on."""

from __future__ import annotations

import doctest
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters import letter, some_export

from app.kafka import backwards, client
from app.kafka.backwards import Block, Stored
from app.kafka.codec import dead_letter_codec
from app.kafka.dead_letters import LetterPage, Selection, take_page
from app.model.event import Reason

MINE, PREDECESSOR = some_export("e"), some_export("e", uid="before")


def stored(offset: int, uid: str = "uid", reason: Reason = Reason.TEMPLATE_ERROR, time_ms: int = 0) -> Stored:
    """The letter's event has the same offset as the letter."""
    export = MINE if uid == "uid" else PREDECESSOR
    return Stored(offset, time_ms, dead_letter_codec.encode(letter(export, offset, reason=reason)))


def blocks(records: list[Stored], first: int, end: int, span: int) -> Iterator[Block]:
    """As a reader gives them: the newest first, each ascending."""
    while end > first:
        start = max(first, end - span)
        yield Block(start, [one for one in records if start <= one.offset < end])
        end = start


def offsets(page: LetterPage) -> list[int]:
    return [one.offset for one in page.letters]


@given(
    uids=st.lists(st.sampled_from(["uid", "uid", "before", None]), max_size=30),
    first=st.integers(0, 5),
    span=st.integers(1, 12),
    limit=st.integers(1, 8),
    most_blocks=st.integers(1, 4),
)
def test_pages_one_after_the_other_have_each_letter_once(
    uids: list[str | None], first: int, span: int, limit: int, most_blocks: int
) -> None:
    records = [stored(first + number, uid) for number, uid in enumerate(uids) if uid]
    end: int | None = first + len(uids)
    found: list[int] = []

    while end is not None:
        given = [block for block, _ in zip(blocks(records, first, end, span), range(most_blocks), strict=False)]
        page = take_page(given, 0, first, "uid", Selection(limit))
        assert len(page.letters) <= limit
        assert page.before is None or page.before < end
        found, end = found + offsets(page), page.before

    assert found == [first + number for number, uid in reversed(list(enumerate(uids))) if uid == "uid"]


def test_no_block_is_asked_for_that_is_not_needed() -> None:
    asked = []

    def watched() -> Iterator[Block]:
        for block in blocks([stored(number) for number in range(10)], 0, 10, 2):
            asked.append(block.first)
            yield block

    page = take_page(watched(), 0, 0, "uid", Selection(3))

    assert (offsets(page), page.before, asked) == ([9, 8, 7], 7, [8, 6])


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(9, reason=Reason.BODY_INVALID), [2]),
        (Selection(9, since_ms=20), [3, 2]),
        (Selection(9, until_ms=20), [1]),
        (Selection(9, since_ms=20, until_ms=30), [2]),
    ],
)
def test_only_selected_letters_are_taken(selection: Selection, wanted: list[int]) -> None:
    records = [stored(1, time_ms=10), stored(2, reason=Reason.BODY_INVALID, time_ms=20), stored(3, time_ms=30)]

    assert offsets(take_page([Block(1, records)], 0, 1, "uid", selection)) == wanted


def test_letter_of_an_unknown_version_is_passed_over_and_said(caplog: pytest.LogCaptureFixture) -> None:
    records = [stored(1), Stored(2, 0, b"\xc3\x01unknown"), stored(3)]

    with caplog.at_level(logging.ERROR):
        page = take_page([Block(1, records)], 0, 1, "uid", Selection(9))

    assert offsets(page) == [3, 1]
    assert "partition 0 has 1 dead letters that this version cannot read, the last at offset 2" in caplog.text


@given(st.integers(1, backwards.MAX_SPAN), st.integers(0, 10**12))
def test_span_stays_within_its_bounds(span: int, size_bytes: int) -> None:
    following = backwards.next_span(span, size_bytes)

    assert 1 <= following <= backwards.MAX_SPAN
    assert following == 1 or following * size_bytes / span <= backwards.MAX_BLOCK_BYTES


@pytest.mark.parametrize("module", [backwards, client])
def test_examples_are_right(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
