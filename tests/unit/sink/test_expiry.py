"""What the dead letter of an expired batch says."""

from __future__ import annotations

import json
from dataclasses import replace

from app.kafka.names import Names
from app.model.binding import Binding
from app.model.catalog import Catalog
from app.model.conditions import Conditions
from app.model.event import Reason
from app.model.ledger import BatchRecord, Phase, Slice, SourceRange, StagedFile
from app.model.receiver import Export, Mapping, Revision
from app.model.replay import LANE_STEP, OffsetRange, Replay, ReplayKind, with_replays
from app.model.rows import Source
from app.sink.expiry import letter_of_batch, source_topic

EXPORT = Export("uid", "r", "1234", "clicks", "all", "All", Conditions(), 0, (), (), 0)
RECORD = BatchRecord(
    "uid",
    "b1",
    2,
    "in.c-web.clicks",
    True,
    Phase.EXPIRED,
    7,
    "run",
    StagedFile("99", 0, 0, b"secret"),
    slices=(Slice("s1", 3, 30, 10), Slice("s2", 4, 40, 10)),
    sources=(SourceRange(Source("id", 0, "live"), 5, 9), SourceRange(Source("id", 1, "live"), 0, 1)),
    failures=3,
    error="no " * 5000,
)


def test_letter_stands_at_the_batchs_first_event() -> None:
    letter = letter_of_batch(EXPORT, RECORD, "streams.events.1234.clicks", 50)

    assert (letter.export_uid, letter.revision, letter.source, letter.published_ms) == (
        "uid",
        2,
        Source("id", 0, "live"),
        50,
    )
    assert (letter.event.offset, letter.event.reason, letter.event.time_ms) == (5, Reason.BATCH_EXPIRED, 7)
    assert letter.event.topic == "streams.events.1234.clicks"


def test_letter_says_in_words_which_batch_and_why_and_is_never_long() -> None:
    message = letter_of_batch(EXPORT, RECORD, "t", 50).event.message

    assert message.startswith("batch b1 with 7 rows is given up after 3 failed imports; its rows stay in file 99")
    assert len(message) < 1200


def test_letter_has_all_source_ranges_for_programs() -> None:
    body = letter_of_batch(EXPORT, RECORD, "t", 50).event.body

    assert json.loads(body or b"") == {
        "batchId": "b1",
        "tableId": "in.c-web.clicks",
        "fileId": "99",
        "rows": 7,
        "sources": [
            {"topicId": "id", "partition": 0, "lane": "live", "first": 5, "last": 9},
            {"topicId": "id", "partition": 1, "lane": "live", "first": 0, "last": 1},
        ],
    }


def test_letter_names_the_topic_whose_offsets_it_has() -> None:
    revision = Revision(LANE_STEP + 2, Mapping("t", ()), "2", b"", 0)
    facts = ("lane", ReplayKind.REQUEUE, "1234", "clicks", "all", "uid", revision)
    requeue = Replay(*facts, "streams.events.1234.clicks", "streams.dead-letters", "letters-id", (), 0, b"")
    export, names = with_replays(EXPORT, [requeue]), Names("streams")
    batches = RECORD, replace(RECORD, revision=LANE_STEP + 2)

    topics = [source_topic(export, batch, names, lambda _: None) for batch in batches]

    assert topics == ["streams.events.1234.clicks", "streams.dead-letters"]


def test_letter_names_the_topic_of_others_that_a_receiver_reads_or_a_replay_is_of() -> None:
    revision = Revision(LANE_STEP + 2, Mapping("t", ()), "2", b"", 0)
    facts = ("lane", ReplayKind.REPLAY, "1234", "clicks", "all", "uid", revision)
    ranges = tuple(OffsetRange(0, 0, 9, f"shop.{name}", name) for name in ("x", "id"))
    export, names = with_replays(EXPORT, [Replay(*facts, "shop.x", "shop.*", "", ranges, 0, b"")]), Names("streams")
    catalog = Catalog()
    catalog.put_binding(Binding("r", "1234", "clicks", "shop.orders", "id", 1, 0))
    batches = RECORD, replace(RECORD, revision=LANE_STEP + 2)

    topics = [source_topic(export, batch, names, catalog.topic_name) for batch in batches]

    assert topics == ["shop.orders", "shop.id"]
