"""A requeue reads letters, and events that were too big for theirs from where they lie; what is gone is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.kafka.client import partition_of_key
from app.kafka.codec import dead_letter_codec
from app.kafka.dead_letters import letter_key
from app.kafka.plan import describe_topics
from app.model.dead_letter import DeadLetter
from app.model.event import Reason
from app.model.replay import OffsetRange, Replay, ReplayKind
from app.model.rows import FailedEvent, Source


def test_letters_are_events_again_also_those_too_big_and_replays_of_topics_that_are_gone_end(
    installation: Any, start: Callable[[], Any]
) -> None:
    topic_id = installation.create_topic("q")
    receiver = installation.receiver("q", topic_id)
    export = installation.export(receiver, "e")
    installation.announce(receiver, export)
    installation.produce(receiver, [b"big"])
    names = installation.names
    letters_id, partitions = describe_topics(installation.admin, [names.dead_letters])[names.dead_letters]
    key = letter_key(export.project_id, export.receiver_id, export.export_id)
    partition = partition_of_key(key, partitions)
    event = FailedEvent(0, Reason.TEMPLATE_ERROR, None, "no", receiver.topic, 5, "id", "", [], b"small")
    live = Source(topic_id, 0, "live")
    small = DeadLetter("1", "q", "e", export.uid, 1, live, event, 0)
    big = replace(small, event=replace(event, body=None))
    gone = replace(big, event=replace(big.event, offset=99))
    once_requeued = replace(
        big,
        source=Source(letters_id, partition, "earlier"),
        event=replace(big.event, topic=names.dead_letters, offset=1),
    )
    batch = replace(small, event=replace(event, reason=Reason.BATCH_EXPIRED))
    for letter in (small, big, gone, batch, once_requeued, small):
        installation.producer.produce(names.dead_letters, dead_letter_codec.encode(letter), key, partition)
    assert installation.producer.flush(60) == 0
    names_of = ("lane", ReplayKind.REQUEUE, "1", "q", "e", export.uid)
    revision = replace(export.revision, number=100_001)
    ranges = (OffsetRange(partition, 0, 5),)
    requeue = Replay(*names_of, revision, receiver.topic, names.dead_letters, letters_id, ranges, 0, b"")
    of_gone = replace(requeue, kind=ReplayKind.REPLAY, ranges=(OffsetRange(0, 0, 7),))
    made_anew = replace(of_gone, lane="anew", topic=receiver.topic, topic_id="earlier")
    nowhere = names.events("1", "nowhere")
    no_more = replace(of_gone, lane="no more", receiver_topic=nowhere, topic=nowhere, topic_id="another")
    installation.announce(requeue, made_anew, no_more)

    start()
    installation.wait_for_count(export, 5)
    left_out = Source("earlier", 0, "anew"), Source("another", 0, "no more")
    folded = installation.wait_for_sources(export, *left_out)

    source = Source(letters_id, partition, "lane")
    assert folded.rows[source] == {0: '"small"', 1: '"big"', 4: '"big"'}
    assert [(offset, failed.body) for offset, failed in folded.failures[source].items()] == [(2, None)]
    assert folded.marks[source] == 5
    assert folded.rows[live] == {0: '"big"'}
    assert {folded.marks[source] for source in left_out} == {7}
