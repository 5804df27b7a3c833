"""The outcome of a task: what of a draft and a topic goes into the records."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.api.drafts import ExportDraft, ReceiverDraft
from app.control.records import SealedToken, TopicFacts, choose_rows_partitions, make_export, make_receiver
from app.model.conditions import Conditions
from app.model.receiver import Column, ColumnType, Export, Mapping, SourceOffset

MAPPING = Mapping("in.c-b.t", (Column("id", ColumnType.ID),))
RECEIVER = ReceiverDraft("r", "R", "", ())
EXPORT = ExportDraft("e", "E", MAPPING, Conditions())


def _export(topic: TopicFacts, rows_partition: int = 0) -> Export:
    receiver = make_receiver("1", RECEIVER, topic, uid="ru", secret=b"s", now_ms=1)
    token = SealedToken("t", b"x")
    return make_export(receiver, EXPORT, topic, token, uid="eu", rows_partition=rows_partition, now_ms=2)


def test_export_on_a_kept_topic_starts_at_its_end() -> None:
    topic = TopicFacts("events", "id-1", (5, 0, 7))

    export = _export(topic)

    assert export.starts == (SourceOffset("id-1", 0, 5), SourceOffset("id-1", 2, 7))
    assert [export.start("id-1", partition) for partition in range(4)] == [5, 0, 7, 0]
    assert (export.revision.number, export.revision.token_id, export.receiver_uid) == (1, "t", "ru")


def test_receiver_knows_its_topic_as_it_is() -> None:
    receiver = make_receiver("1", RECEIVER, TopicFacts("events", "id-1", (0, 3)), uid="u", secret=b"s", now_ms=1)

    assert (receiver.topic, receiver.topic_id, receiver.partitions) == ("events", "id-1", 2)
    assert receiver.starts == (SourceOffset("id-1", 1, 3),)


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 20))
def test_rows_partitions_are_used_evenly(existing: list[int], count: int) -> None:
    topic = TopicFacts("events", "id", (0,))
    before = Counter(existing)

    chosen = choose_rows_partitions([_export(topic, partition) for partition in existing], 5, count)

    after = before + Counter(chosen)
    assert len(chosen) == count
    for partition in chosen:
        assert after[partition] <= min(after[other] for other in range(5)) + 1
