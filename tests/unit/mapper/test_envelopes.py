"""Segments become envelopes that speak for every offset once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.kafka.codec import rows_codec
from app.mapper.envelopes import MAX_RAW_BYTES, to_envelopes
from app.model.event import EventBatch, Failure, Reason, Segment
from app.model.ids import derived_event_id
from app.model.rows import Rows, Source

SOURCE = Source("topic-id", 2, "live")
TOPIC = "streams.events.1.a"


def batch_of(offsets: list[int], body: bytes = b"{}") -> EventBatch:
    count = len(offsets)
    return EventBatch(offsets, [7] * count, [""] * count, ["::1"] * count, [body] * count, [[("A", b"1")]] * count)


@st.composite
def mapped_chunks(draw: st.DrawFn) -> tuple[int, int, EventBatch, list[Segment]]:
    """A chunk's base and end, its events (with holes), and segments of any cut with rows and failures."""
    base = draw(st.integers(0, 1000))
    gaps = draw(st.lists(st.integers(0, 3), min_size=0, max_size=40))
    offsets, position = [], base
    for gap in gaps:
        offsets.append(position + gap)
        position = offsets[-1] + 1
    end = max(position + draw(st.integers(0, 3)), base + 1)
    segments, start = [], 0
    while start < len(offsets):
        stop = draw(st.integers(start + 1, len(offsets)))
        failed = draw(st.sets(st.sampled_from(offsets[start:stop])))
        rows = [offset for offset in offsets[start:stop] if offset not in failed]
        failures = [Failure(offset, Reason.TEMPLATE_ERROR, "c", "no") for offset in sorted(failed)]
        segments.append(Segment(offsets[stop - 1] + 1, b"".join(b'"%d"\n' % o for o in rows), rows, failures))
        start = stop
    return base, end, batch_of(offsets), segments


def envelopes_of(base: int, end: int, batch: EventBatch, segments: list[Segment]) -> list[Rows]:
    return to_envelopes("uid", 3, SOURCE, TOPIC, base, end, segments, batch)


@given(mapped_chunks())
def test_envelopes_follow_on_each_other_from_base_to_end(chunk: tuple[int, int, EventBatch, list[Segment]]) -> None:
    base, end, batch, segments = chunk

    envelopes = envelopes_of(base, end, batch, segments)

    assert [envelope.base for envelope in envelopes] == [base, *(envelope.end for envelope in envelopes[:-1])]
    assert envelopes[-1].end == end
    assert all(envelope.base < envelope.end for envelope in envelopes)


@given(mapped_chunks())
def test_every_offset_is_exactly_once_row_failure_or_skipped(
    chunk: tuple[int, int, EventBatch, list[Segment]],
) -> None:
    base, end, batch, segments = chunk

    envelopes = envelopes_of(base, end, batch, segments)

    told: list[int] = []
    for envelope in envelopes:
        entries = [*envelope.row_offsets(), *(failed.offset for failed in envelope.failures)]
        assert all(envelope.base <= offset < envelope.end for offset in entries)
        assert envelope.count == len(list(envelope.row_offsets())) == envelope.csv.count(b"\n")
        assert envelope.skipped == envelope.end - envelope.base - len(entries)
        told += entries
    assert sorted(told) == batch.offsets


@given(mapped_chunks())
def test_envelopes_survive_their_encoding(chunk: tuple[int, int, EventBatch, list[Segment]]) -> None:
    envelopes = envelopes_of(*chunk)

    assert [rows_codec.decode(rows_codec.encode(envelope)) for envelope in envelopes] == envelopes


def test_chunk_without_events_for_the_export_still_moves_its_mark() -> None:
    (envelope,) = envelopes_of(10, 25, batch_of([]), [])

    assert (envelope.base, envelope.end, envelope.count, envelope.skipped) == (10, 25, 0, 15)


def test_failure_carries_the_raw_event() -> None:
    segment = Segment(12, b"", [], [Failure(11, Reason.BODY_INVALID, None, "not JSON")])

    (envelope,) = envelopes_of(10, 12, batch_of([11], b"{"), [segment])

    (failed,) = envelope.failures
    assert (failed.offset, failed.reason, failed.message) == (11, Reason.BODY_INVALID, "not JSON")
    assert (failed.body, failed.ip, failed.time_ms, failed.topic) == (b"{", "::1", 7, TOPIC)
    assert list(failed.headers) == [("A", b"1")]
    assert failed.event_id == derived_event_id("topic-id", 2, 11)


def test_failed_event_too_big_for_a_message_goes_by_its_coordinates() -> None:
    segment = Segment(1, b"", [], [Failure(0, Reason.ROW_TOO_LARGE, None, "too large")])

    (envelope,) = envelopes_of(0, 1, batch_of([0], b"x" * MAX_RAW_BYTES), [segment])

    assert envelope.failures[0].body is None
    assert len(rows_codec.encode(envelope)) < 1000
