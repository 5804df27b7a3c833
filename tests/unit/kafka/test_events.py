"""Records become columns of events."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.kafka.events import event_id, to_batch
from app.model.ids import derived_event_id


@dataclass
class Record:
    offset: int
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)
    timestamp: int = 5
    key: bytes | None = None


def test_reserved_headers_become_id_and_ip() -> None:
    record = Record(1, b"x", [("streams.id", b"an-id"), ("streams.ip", b"10.0.0.1"), ("Accept", b"*/*")])

    batch = to_batch([record], "t", 0, ids=True)

    assert (batch.ids, batch.ips) == (["an-id"], ["10.0.0.1"])
    assert [list(headers) for headers in batch.headers] == [[("Accept", b"*/*")]]
    assert (batch.offsets, batch.times_ms, batch.bodies) == ([1], [5], [b"x"])


def test_reserved_headers_are_found_in_any_order_and_the_first_wins() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("Accept", b"*/*"),
        ("streams.ip", b"10.0.0.1"),
        ("streams.other", b"?"),
        ("streams.id", b"first"),
        ("streams.id", b"second"),
    ]

    batch = to_batch([Record(1, b"x", headers)], "t", 0, ids=True)

    assert (batch.ids, batch.ips) == (["first"], ["10.0.0.1"])
    assert list(batch.headers[0]) == [("Accept", b"*/*")]


def test_record_of_a_plain_producer_gets_the_id_of_its_place() -> None:
    batch = to_batch([Record(7, b"x"), Record(8, b"y", [("A", None)])], "t", 3, ids=True)

    assert batch.ids == [derived_event_id("t", 3, 7), derived_event_id("t", 3, 8)]
    assert batch.ips == ["", ""]
    assert list(batch.headers[1]) == [("A", b"")]


def test_ids_that_no_column_needs_are_derived_on_demand() -> None:
    batch = to_batch([Record(7, b"x")], "t", 3, ids=False)

    assert batch.ids == [""]
    assert event_id(batch, 0, "t", 3) == derived_event_id("t", 3, 7)


def test_tombstones_are_no_events() -> None:
    batch = to_batch([Record(1, b"a"), Record(2, None, [("streams.id", b"x")]), Record(3, b"")], "t", 0, ids=True)

    assert (batch.offsets, batch.bodies) == ([1, 3], [b"a", b""])
    assert len(batch.ids) == len(batch.ips) == len(batch.headers) == len(batch.times_ms) == 2


def test_header_values_that_are_not_utf8_do_not_stop_the_chunk() -> None:
    batch = to_batch([Record(1, b"a", [("streams.id", b"\xff"), ("streams.ip", b"\xfe")])], "t", 0, ids=True)

    assert (batch.ids, batch.ips) == (["\ufffd"], ["\ufffd"])
