"""Which records are kept as the newest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.kafka.recent import Newest, RecentRecord, newest_of


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 30)), max_size=20),
    st.integers(1, 10),
    st.integers(0, 100),
)
def test_newest_are_kept_without_a_gap_in_whatever_order_they_come(
    shown: list[tuple[int, int, int]], count: int, max_bytes: int
) -> None:
    records = [RecentRecord(p, offset, time, None, b"x" * size, []) for offset, (p, time, size) in enumerate(shown)]
    newest = Newest(count, max_bytes)

    for record in records:
        newest.add(record)

    wanted: list[RecentRecord] = []
    for record in sorted(records, key=lambda r: (r.timestamp, r.partition, r.offset), reverse=True):
        if len(wanted) == count or (wanted and sum(r.size for r in [*wanted, record]) > max_bytes):
            break
        wanted.insert(0, record)
    assert newest.records() == wanted


def test_newest_of_two_topics_are_those_with_the_newest_times_within_the_bounds() -> None:
    a = [RecentRecord(0, offset, time, None, b"x" * 10, [], "a") for offset, time in enumerate((1, 4))]
    b = [RecentRecord(0, offset, time, None, b"x" * 10, [], "b") for offset, time in enumerate((2, 5))]

    assert newest_of(a, b, 3, 100) == [b[0], a[1], b[1]]
    assert newest_of(a, b, 3, 20) == [a[1], b[1]]
    assert newest_of(a, b, 3, 5) == [b[1]]
